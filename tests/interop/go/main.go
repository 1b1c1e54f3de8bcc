// Command interop is a participant as LiveKit's Go clients are built: Pion for media, LiveKit's protocol package for
// signalling, one peer connection for publishing and one for subscribing.
//
// It joins LIVEKIT_URL with LIVEKIT_TOKEN, publishes a microphone and a camera, takes every track that it is offered,
// greets the others with data, answers data, and leaves when told "bye". What it sees is printed as JSON objects, one a line.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

const (
	limit       = 60 * time.Second
	enoughPacks = 25
)

func main() {
	client, err := join(os.Getenv("LIVEKIT_URL"), os.Getenv("LIVEKIT_TOKEN"))
	if err == nil {
		err = client.run()
	}
	if err != nil {
		say("error", facts{"error": err.Error()})
		os.Exit(1)
	}
	say("end", nil)
}

type facts map[string]any

var saying sync.Mutex

// say prints one fact.
func say(step string, more facts) {
	saying.Lock()
	defer saying.Unlock()
	line := facts{"step": step}
	for name, value := range more {
		line[name] = value
	}
	text, _ := json.Marshal(line)
	fmt.Println(string(text))
}

// client is one participant. All of signalling happens in run; Pion's callbacks only print, count and post.
type client struct {
	signal     *signal
	publisher  *webrtc.PeerConnection
	subscriber *webrtc.PeerConnection
	reliable   *webrtc.DataChannel
	bye        chan struct{}
	failed     chan error
	byeOnce    sync.Once
}

func join(url, token string) (*client, error) {
	signal, joined, err := dial(url, token)
	if err != nil {
		return nil, err
	}
	others := []string{}
	for _, participant := range joined.OtherParticipants {
		others = append(others, participant.Identity)
	}
	say("join", facts{"identity": joined.Participant.Identity, "others": others, "subscriber": joined.SubscriberPrimary})
	c := &client{signal: signal, bye: make(chan struct{}), failed: make(chan error, 4)}
	if err := c.connect(joined.IceServers); err != nil {
		return nil, err
	}
	return c, nil
}

// connect makes both peer connections and offers the publisher's.
func (c *client) connect(servers []*livekit.ICEServer) error {
	var config webrtc.Configuration
	for _, server := range servers {
		if len(server.Urls) > 0 {
			config.ICEServers = append(config.ICEServers, webrtc.ICEServer{
				URLs: server.Urls, Username: server.Username, Credential: server.Credential,
			})
		}
	}
	var err error
	if c.publisher, err = c.peer(config, livekit.SignalTarget_PUBLISHER); err != nil {
		return err
	}
	if c.subscriber, err = c.peer(config, livekit.SignalTarget_SUBSCRIBER); err != nil {
		return err
	}
	c.subscriber.OnTrack(c.count)
	c.subscriber.OnDataChannel(func(channel *webrtc.DataChannel) { channel.OnMessage(c.handleData) })
	if c.reliable, err = c.publisher.CreateDataChannel("_reliable", nil); err != nil {
		return err
	}
	unordered, none := false, uint16(0)
	lossy := &webrtc.DataChannelInit{Ordered: &unordered, MaxRetransmits: &none}
	if _, err = c.publisher.CreateDataChannel("_lossy", lossy); err != nil {
		return err
	}
	c.reliable.OnOpen(func() { c.send("hello from go") })
	if err := c.publish(); err != nil {
		return err
	}
	return c.offer()
}

func (c *client) peer(config webrtc.Configuration, target livekit.SignalTarget) (*webrtc.PeerConnection, error) {
	peer, err := webrtc.NewPeerConnection(config)
	if err != nil {
		return nil, err
	}
	peer.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			return
		}
		text, _ := json.Marshal(candidate.ToJSON())
		c.signal.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{
			Trickle: &livekit.TrickleRequest{CandidateInit: string(text), Target: target},
		}})
	})
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateFailed {
			c.failed <- fmt.Errorf("%v connection failed", target)
		}
	})
	return peer, nil
}

func (c *client) offer() error {
	offer, err := c.publisher.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := c.publisher.SetLocalDescription(offer); err != nil {
		return err
	}
	c.signal.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: described(offer)}})
	return nil
}

// run handles signalling until somebody says bye.
func (c *client) run() error {
	timeout := time.After(limit)
	for {
		select {
		case response, ok := <-c.signal.responses:
			if !ok {
				return fmt.Errorf("the server closed the connection")
			}
			if err := c.handle(response); err != nil {
				return err
			}
		case <-c.bye:
			return c.leave()
		case err := <-c.failed:
			return err
		case <-timeout:
			return fmt.Errorf("nobody said bye in %v", limit)
		}
	}
}

func (c *client) handle(response *livekit.SignalResponse) error {
	switch message := response.Message.(type) {
	case *livekit.SignalResponse_Answer:
		return c.publisher.SetRemoteDescription(description(message.Answer))
	case *livekit.SignalResponse_Offer:
		return c.answer(description(message.Offer))
	case *livekit.SignalResponse_Trickle:
		return c.trickle(message.Trickle)
	case *livekit.SignalResponse_TrackPublished:
		track := message.TrackPublished
		say("published "+track.Cid, facts{"sid": track.Track.Sid, "source": track.Track.Source.String()})
	case *livekit.SignalResponse_Leave:
		return fmt.Errorf("sent away: %v", message.Leave.Reason)
	}
	return nil
}

func (c *client) answer(offer webrtc.SessionDescription) error {
	if err := c.subscriber.SetRemoteDescription(offer); err != nil {
		return err
	}
	answer, err := c.subscriber.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err := c.subscriber.SetLocalDescription(answer); err != nil {
		return err
	}
	c.signal.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{Answer: described(answer)}})
	return nil
}

func (c *client) trickle(trickle *livekit.TrickleRequest) error {
	var candidate webrtc.ICECandidateInit
	if err := json.Unmarshal([]byte(trickle.CandidateInit), &candidate); err != nil {
		return err
	}
	if trickle.Target == livekit.SignalTarget_PUBLISHER {
		return c.publisher.AddICECandidate(candidate)
	}
	return c.subscriber.AddICECandidate(candidate)
}

func (c *client) leave() error {
	c.signal.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{
		Leave: &livekit.LeaveRequest{Reason: livekit.DisconnectReason_CLIENT_INITIATED},
	}})
	_ = c.publisher.Close()
	_ = c.subscriber.Close()
	return c.signal.close()
}

func (c *client) send(text string) {
	packet := &livekit.DataPacket{Kind: livekit.DataPacket_RELIABLE, Value: &livekit.DataPacket_User{
		User: &livekit.UserPacket{Payload: []byte(text), Topic: proto.String("go")},
	}}
	payload, err := proto.Marshal(packet)
	if err == nil {
		err = c.reliable.Send(payload)
	}
	if err != nil {
		c.failed <- err
	}
}

func (c *client) handleData(message webrtc.DataChannelMessage) {
	packet := &livekit.DataPacket{}
	if err := proto.Unmarshal(message.Data, packet); err != nil || packet.GetUser() == nil {
		return
	}
	text := string(packet.GetUser().Payload)
	say("data "+text, facts{"sender": packet.ParticipantIdentity, "topic": packet.GetUser().GetTopic()})
	if text == "bye" {
		c.byeOnce.Do(func() { close(c.bye) })
		return
	}
	c.send("echo " + text)
}

// count tells of a track once enough of it has come.
func (c *client) count(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	for packets := 1; ; packets++ {
		if _, _, err := track.ReadRTP(); err != nil {
			return
		}
		if packets == enoughPacks {
			say("track "+track.Kind().String(), facts{"mime": track.Codec().MimeType, "stream": track.StreamID()})
		}
	}
}
