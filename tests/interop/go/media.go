package main

import (
	"encoding/base64"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	audioInterval = 20 * time.Millisecond
	videoInterval = 100 * time.Millisecond
	videoWidth    = 64
	videoHeight   = 36
)

var silence = []byte{0xf8, 0xff, 0xfe} // 20 ms of Opus

// redFrame is a VP8 key frame of 64 by 36 pixels in one red.
var redFrame, _ = base64.StdEncoding.DecodeString(
	"sAMAnQEqQAAkAD7RaK9SKCYkIqKoAQAaCWcA1AaAABUaYxw+DMAA/uHDf67xaUa//wQW1HphxMKmShcLWCAAAA==")

// publish announces a microphone and a camera and plays them for as long as the program runs.
func (c *client) publish() error {
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48_000, Channels: 2}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90_000}
	if err := c.add(opus, silence, audioInterval, &livekit.AddTrackRequest{
		Cid: "microphone", Name: "microphone", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE,
	}); err != nil {
		return err
	}
	return c.add(vp8, redFrame, videoInterval, &livekit.AddTrackRequest{
		Cid: "camera", Name: "camera", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA,
		Width: videoWidth, Height: videoHeight,
		Layers: []*livekit.VideoLayer{{Quality: livekit.VideoQuality_HIGH, Width: videoWidth, Height: videoHeight}},
	})
}

func (c *client) add(
	codec webrtc.RTPCodecCapability, frame []byte, interval time.Duration, request *livekit.AddTrackRequest,
) error {
	track, err := webrtc.NewTrackLocalStaticSample(codec, request.Cid, "go")
	if err != nil {
		return err
	}
	c.signal.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: request}})
	init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	transceiver, err := c.publisher.AddTransceiverFromTrack(track, init)
	if err != nil {
		return err
	}
	go drain(transceiver.Sender())
	go func() {
		for range time.Tick(interval) {
			_ = track.WriteSample(media.Sample{Data: frame, Duration: interval}) // nothing leaves before it is connected
		}
	}()
	return nil
}

// drain reads RTCP, which Pion's interceptors see only then.
func drain(sender *webrtc.RTPSender) {
	buffer := make([]byte, 1500)
	for {
		if _, _, err := sender.Read(buffer); err != nil {
			return
		}
	}
}
