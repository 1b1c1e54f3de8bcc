"""Descriptions captured from Chromium 156 and from LiveKit's Rust SDK, shortened by some formats; lines end with LF here."""

from __future__ import annotations

PUBLISH_OFFER = """\
v=0
o=- 358657536566578702 3 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2 3
a=extmap-allow-mixed
a=msid-semantic: WMS aef18fe7-7e77-40bf-b1f9-46963af6b8ef feb34d3c-e59b-4cab-b3e9-0c1e9fc0a55c
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=candidate:3841945039 1 udp 2113937151 e1804790-be93-42ae-afc3-57299c093a00.local 48444 typ host generation 0
a=candidate:798600239 1 udp 2113942271 41139e8f-da01-4538-ae42-6667eba43d3f.local 33846 typ host generation 0
a=ice-ufrag:Ie9N
a=ice-pwd:T7XMsRu7Hcmyc3AQXMlTzBmC
a=ice-options:trickle
a=fingerprint:sha-256 B6:6D:7F:36:2F:71:33:FE:5E:12:69:73:C1:35:BA:58:2B:3B:11:AF:71:0F:F0:C3:83:F1:FB:AB:65:20:50:A2
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8
c=IN IP4 0.0.0.0
a=ice-ufrag:Ie9N
a=ice-pwd:T7XMsRu7Hcmyc3AQXMlTzBmC
a=ice-options:trickle
a=fingerprint:sha-256 B6:6D:7F:36:2F:71:33:FE:5E:12:69:73:C1:35:BA:58:2B:3B:11:AF:71:0F:F0:C3:83:F1:FB:AB:65:20:50:A2
a=setup:actpass
a=mid:1
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:feb34d3c-e59b-4cab-b3e9-0c1e9fc0a55c eb01e33b-c945-4085-9cc7-a5d69ad9951e
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=ssrc:2104708346 cname:VLOAzPEK2RSsqfRB
a=ssrc:2104708346 msid:feb34d3c-e59b-4cab-b3e9-0c1e9fc0a55c eb01e33b-c945-4085-9cc7-a5d69ad9951e
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 108 109 114 115 45 46 98 99 118 119 120
c=IN IP4 0.0.0.0
a=ice-ufrag:Ie9N
a=ice-pwd:T7XMsRu7Hcmyc3AQXMlTzBmC
a=ice-options:trickle
a=fingerprint:sha-256 B6:6D:7F:36:2F:71:33:FE:5E:12:69:73:C1:35:BA:58:2B:3B:11:AF:71:0F:F0:C3:83:F1:FB:AB:65:20:50:A2
a=setup:actpass
a=mid:2
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/video-content-type
a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/video-timing
a=extmap:8 http://www.webrtc.org/experiments/rtp-hdrext/color-space
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=extmap:12 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension
a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00
a=sendonly
a=msid:aef18fe7-7e77-40bf-b1f9-46963af6b8ef b2d70773-c394-4d29-8f6a-9674229c7a32
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=rtcp-fb:102 goog-remb
a=rtcp-fb:102 transport-cc
a=rtcp-fb:102 ccm fir
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:108 H264/90000
a=rtcp-fb:108 goog-remb
a=rtcp-fb:108 transport-cc
a=rtcp-fb:108 ccm fir
a=rtcp-fb:108 nack
a=rtcp-fb:108 nack pli
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:109 rtx/90000
a=fmtp:109 apt=108
a=rtpmap:114 H264/90000
a=rtcp-fb:114 goog-remb
a=rtcp-fb:114 transport-cc
a=rtcp-fb:114 ccm fir
a=rtcp-fb:114 nack
a=rtcp-fb:114 nack pli
a=fmtp:114 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f
a=rtpmap:115 rtx/90000
a=fmtp:115 apt=114
a=rtpmap:45 AV1/90000
a=rtcp-fb:45 goog-remb
a=rtcp-fb:45 transport-cc
a=rtcp-fb:45 ccm fir
a=rtcp-fb:45 nack
a=rtcp-fb:45 nack pli
a=fmtp:45 level-idx=5;profile=0;tier=0
a=rtpmap:46 rtx/90000
a=fmtp:46 apt=45
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 goog-remb
a=rtcp-fb:98 transport-cc
a=rtcp-fb:98 ccm fir
a=rtcp-fb:98 nack
a=rtcp-fb:98 nack pli
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:118 red/90000
a=rtpmap:119 rtx/90000
a=fmtp:119 apt=118
a=rtpmap:120 ulpfec/90000
a=rid:q send
a=rid:h send
a=rid:f send
a=simulcast:send q;h;f
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 108 109 114 115 45 46 98 99 118 119 120
c=IN IP4 0.0.0.0
a=ice-ufrag:Ie9N
a=ice-pwd:T7XMsRu7Hcmyc3AQXMlTzBmC
a=ice-options:trickle
a=fingerprint:sha-256 B6:6D:7F:36:2F:71:33:FE:5E:12:69:73:C1:35:BA:58:2B:3B:11:AF:71:0F:F0:C3:83:F1:FB:AB:65:20:50:A2
a=setup:actpass
a=mid:3
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/video-content-type
a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/video-timing
a=extmap:8 http://www.webrtc.org/experiments/rtp-hdrext/color-space
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=extmap:12 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension
a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00
a=sendonly
a=msid:1ab55367-1812-4558-8dbf-cd8348c7b096 286e1551-be50-48c8-ba29-dce798a353e4
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=rtcp-fb:102 goog-remb
a=rtcp-fb:102 transport-cc
a=rtcp-fb:102 ccm fir
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:108 H264/90000
a=rtcp-fb:108 goog-remb
a=rtcp-fb:108 transport-cc
a=rtcp-fb:108 ccm fir
a=rtcp-fb:108 nack
a=rtcp-fb:108 nack pli
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:109 rtx/90000
a=fmtp:109 apt=108
a=rtpmap:114 H264/90000
a=rtcp-fb:114 goog-remb
a=rtcp-fb:114 transport-cc
a=rtcp-fb:114 ccm fir
a=rtcp-fb:114 nack
a=rtcp-fb:114 nack pli
a=fmtp:114 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f
a=rtpmap:115 rtx/90000
a=fmtp:115 apt=114
a=rtpmap:45 AV1/90000
a=rtcp-fb:45 goog-remb
a=rtcp-fb:45 transport-cc
a=rtcp-fb:45 ccm fir
a=rtcp-fb:45 nack
a=rtcp-fb:45 nack pli
a=fmtp:45 level-idx=5;profile=0;tier=0
a=rtpmap:46 rtx/90000
a=fmtp:46 apt=45
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 goog-remb
a=rtcp-fb:98 transport-cc
a=rtcp-fb:98 ccm fir
a=rtcp-fb:98 nack
a=rtcp-fb:98 nack pli
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:118 red/90000
a=rtpmap:119 rtx/90000
a=fmtp:119 apt=118
a=rtpmap:120 ulpfec/90000
a=ssrc-group:FID 1424230647 758981358
a=ssrc:1424230647 cname:VLOAzPEK2RSsqfRB
a=ssrc:1424230647 msid:1ab55367-1812-4558-8dbf-cd8348c7b096 286e1551-be50-48c8-ba29-dce798a353e4
a=ssrc:758981358 cname:VLOAzPEK2RSsqfRB
a=ssrc:758981358 msid:1ab55367-1812-4558-8dbf-cd8348c7b096 286e1551-be50-48c8-ba29-dce798a353e4
"""
"""Chromium: data channels, a microphone, a camera in three layers, a VP9 track in SVC."""

AUDIO_RECEIVE_SECTION = """\
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8
c=IN IP4 0.0.0.0
a=ice-ufrag:ukbD
a=ice-pwd:J9DbnBkLfl35frqYDVJNxlMv
a=ice-options:trickle
a=fingerprint:sha-256 57:20:71:ED:0A:D3:92:9D:83:6B:61:A1:70:85:DB:94:54:A3:45:85:57:4B:A3:FC:97:A2:0B:14:27:74:B7:4E
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
"""
"""Chromium, recvonly."""

VIDEO_RECEIVE_SECTION = """\
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 35 36 108 109
c=IN IP4 0.0.0.0
a=ice-ufrag:ukbD
a=ice-pwd:J9DbnBkLfl35frqYDVJNxlMv
a=ice-options:trickle
a=fingerprint:sha-256 57:20:71:ED:0A:D3:92:9D:83:6B:61:A1:70:85:DB:94:54:A3:45:85:57:4B:A3:FC:97:A2:0B:14:27:74:B7:4E
a=setup:actpass
a=mid:3
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/video-content-type
a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/video-timing
a=extmap:8 http://www.webrtc.org/experiments/rtp-hdrext/color-space
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 goog-remb
a=rtcp-fb:98 transport-cc
a=rtcp-fb:98 ccm fir
a=rtcp-fb:98 nack
a=rtcp-fb:98 nack pli
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:35 VP9/90000
a=rtcp-fb:35 goog-remb
a=rtcp-fb:35 transport-cc
a=rtcp-fb:35 ccm fir
a=rtcp-fb:35 nack
a=rtcp-fb:35 nack pli
a=fmtp:35 profile-id=1
a=rtpmap:36 rtx/90000
a=fmtp:36 apt=35
a=rtpmap:108 H264/90000
a=rtcp-fb:108 goog-remb
a=rtcp-fb:108 transport-cc
a=rtcp-fb:108 ccm fir
a=rtcp-fb:108 nack
a=rtcp-fb:108 nack pli
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:109 rtx/90000
a=fmtp:109 apt=108
"""
"""Chromium, recvonly."""

RUST_APPLICATION_SECTION = """\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:3zcS
a=ice-pwd:QCrAkaD8OzY+ZN3htIgNC164
a=ice-options:trickle goog-sped-v1
a=fingerprint:sha-256 78:A1:C6:17:39:DD:BF:71:2B:7A:F7:BF:70:71:C0:3A:84:8A:3A:FB:95:A1:05:B1:9B:EE:B8:E8:1C:8D:03:42
a=setup:actpass
a=mid:6
a=sctp-port:5000
a=max-message-size:262144
a=sctp-init:AQAAHit1auUAUAAA//////BabRbAAAAEgAgABoLA
"""
"""Rust SDK: a handshake extension that must not be echoed."""

SINGLE_SESSION = """\
v=0
o=- 7864639495660411503 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2 3 4 5 6
a=extmap-allow-mixed
a=msid-semantic: WMS
"""
"""Chromium: the lines above seven sections."""

SUBSCRIBER_ANSWER = """\
v=0
o=- 1107103048410208260 3 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=candidate:1641300047 1 udp 2113937151 e1804790-be93-42ae-afc3-57299c093a00.local 51868 typ host generation 0
a=candidate:1722166527 1 udp 2113942271 41139e8f-da01-4538-ae42-6667eba43d3f.local 38904 typ host generation 0
a=ice-ufrag:Ywhr
a=ice-pwd:CLme3BN/Y6b6Uz+FU4fptxuP
a=ice-options:trickle
a=fingerprint:sha-256 55:80:14:54:89:64:C6:65:E0:2D:A0:DB:93:AA:AA:46:3B:9B:7A:EE:23:61:91:D8:5E:3C:6D:7D:20:5F:BC:E0
a=setup:active
a=mid:0
a=sctp-port:5000
a=max-message-size:65535
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8
c=IN IP4 0.0.0.0
a=ice-ufrag:Ywhr
a=ice-pwd:CLme3BN/Y6b6Uz+FU4fptxuP
a=ice-options:trickle
a=fingerprint:sha-256 55:80:14:54:89:64:C6:65:E0:2D:A0:DB:93:AA:AA:46:3B:9B:7A:EE:23:61:91:D8:5E:3C:6D:7D:20:5F:BC:E0
a=setup:active
a=mid:1
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 108 109
c=IN IP4 0.0.0.0
a=ice-ufrag:Ywhr
a=ice-pwd:CLme3BN/Y6b6Uz+FU4fptxuP
a=ice-options:trickle
a=fingerprint:sha-256 55:80:14:54:89:64:C6:65:E0:2D:A0:DB:93:AA:AA:46:3B:9B:7A:EE:23:61:91:D8:5E:3C:6D:7D:20:5F:BC:E0
a=setup:active
a=mid:2
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time
a=extmap:1 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 goog-remb
a=rtcp-fb:98 ccm fir
a=rtcp-fb:98 nack
a=rtcp-fb:98 nack pli
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:108 H264/90000
a=rtcp-fb:108 goog-remb
a=rtcp-fb:108 ccm fir
a=rtcp-fb:108 nack
a=rtcp-fb:108 nack pli
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:109 rtx/90000
a=fmtp:109 apt=108
"""
"""Chromium's answer to an offer of data channels, one audio and one video track."""
