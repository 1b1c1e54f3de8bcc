package main

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

// protocolVersion is that of Go clients which negotiate over two peer connections.
const protocolVersion = "16"

// signal is the WebSocket to the server. It may be used by several goroutines.
type signal struct {
	socket    *websocket.Conn
	sending   sync.Mutex
	responses chan *livekit.SignalResponse
}

// dial connects and waits to be let in.
func dial(base, token string) (*signal, *livekit.JoinResponse, error) {
	query := url.Values{"access_token": {token}, "protocol": {protocolVersion}, "sdk": {"go"}, "version": {"2.0.0"}, "auto_subscribe": {"1"}}
	socket, response, err := websocket.DefaultDialer.Dial(strings.TrimRight(base, "/")+"/rtc?"+query.Encode(), nil)
	if err != nil {
		status := "no answer"
		if response != nil {
			status = response.Status
		}
		return nil, nil, fmt.Errorf("refused (%s): %w", status, err)
	}
	s := &signal{socket: socket, responses: make(chan *livekit.SignalResponse, 64)}
	go s.read()
	first, ok := <-s.responses
	if !ok || first.GetJoin() == nil {
		return nil, nil, fmt.Errorf("not let in: %v", first)
	}
	return s, first.GetJoin(), nil
}

func (s *signal) read() {
	defer close(s.responses)
	for {
		_, data, err := s.socket.ReadMessage()
		if err != nil {
			return
		}
		response := &livekit.SignalResponse{}
		if proto.Unmarshal(data, response) == nil {
			s.responses <- response
		}
	}
}

// send writes a request. A broken connection shows where it is read.
func (s *signal) send(request *livekit.SignalRequest) {
	s.sending.Lock()
	defer s.sending.Unlock()
	if data, err := proto.Marshal(request); err == nil {
		_ = s.socket.WriteMessage(websocket.BinaryMessage, data)
	}
}

func (s *signal) close() error {
	s.sending.Lock()
	defer s.sending.Unlock()
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = s.socket.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second))
	return s.socket.Close()
}

func described(from webrtc.SessionDescription) *livekit.SessionDescription {
	return &livekit.SessionDescription{Type: from.Type.String(), Sdp: from.SDP}
}

func description(from *livekit.SessionDescription) webrtc.SessionDescription {
	return webrtc.SessionDescription{Type: webrtc.NewSDPType(from.Type), SDP: from.Sdp}
}
