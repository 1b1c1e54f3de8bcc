// What tests ask of a page with livekit-client in it. `call.room` is the page's room; events are kept by name.
globalThis.call = (() => {
  const { Room, RoomEvent, VideoQuality, VideoPresets } = globalThis.LivekitClient;
  const call = { events: [], messages: [], texts: [], errors: [] };
  const decode = (payload) => new TextDecoder().decode(payload);

  call.join = async (url, token, options) => {
    const room = (call.room = new Room({ adaptiveStream: false, dynacast: true, ...options }));
    for (const name of Object.values(RoomEvent)) {
      room.on(name, (...values) => call.events.push([name, values]));
    }
    room.on(RoomEvent.DataReceived, (payload, sender, _kind, topic) => {
      call.messages.push({ text: decode(payload), sender: sender?.identity, topic });
    });
    room.on(RoomEvent.TrackSubscribed, (track) => document.body.append(track.attach()));
    room.on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
    room.registerTextStreamHandler('chat', async (reader, sender) => {
      call.texts.push({ text: await reader.readAll(), sender: sender.identity });
    });
    await room.connect(url, token);
    return { identity: room.localParticipant.identity, sid: room.localParticipant.sid };
  };
  call.leave = () => call.room.disconnect();
  call.seen = (name) => call.events.filter(([each]) => each === name).length;
  call.forget = () => void (call.events.length = 0);
  call.others = () => [...call.room.remoteParticipants.keys()];

  call.camera = async () => {
    await call.room.localParticipant.setCameraEnabled(true, { resolution: VideoPresets.h540.resolution });
  };
  call.microphone = async (on) => void (await call.room.localParticipant.setMicrophoneEnabled(on));
  call.publication = (kind) => {
    for (const participant of call.room.remoteParticipants.values()) {
      for (const publication of participant.trackPublications.values()) {
        if (publication.kind === kind) return publication;
      }
    }
    return undefined;
  };
  call.ask = (quality) => call.publication('video').setVideoQuality(VideoQuality[quality]);

  // What arrived of the others' track of that kind, as the browser counts it.
  call.received = async (kind) => {
    const found = { frames: 0, width: 0, energy: 0 };
    const receiver = call.publication(kind)?.track?.receiver;
    const report = receiver ? await receiver.getStats() : new Map();
    for (const stats of report.values()) {
      if (stats.type !== 'inbound-rtp') continue;
      found.frames += stats.framesDecoded ?? 0;
      found.width = stats.frameWidth ?? 0;
      found.energy += stats.totalAudioEnergy ?? 0;
    }
    return found;
  };
  // How many encodings of the own camera grow, by rid.
  call.encoded = async () => {
    const counts = {};
    for (const publication of call.room.localParticipant.videoTrackPublications.values()) {
      for (const stats of (await publication.track.sender.getStats()).values()) {
        if (stats.type === 'outbound-rtp') counts[stats.rid] = stats.framesEncoded ?? 0;
      }
    }
    return counts;
  };

  call.say = (text, options) => call.room.localParticipant.publishData(new TextEncoder().encode(text), options);
  call.write = async (text) => void (await call.room.localParticipant.sendText(text, { topic: 'chat' }));
  call.offerShout = () =>
    call.room.registerRpcMethod('shout', async ({ callerIdentity, payload }) => `${callerIdentity}: ${payload.toUpperCase()}`);
  call.shout = (destinationIdentity, payload) =>
    call.room.localParticipant
      .performRpc({ destinationIdentity, method: 'shout', payload })
      .catch((error) => `error ${error.code}`);
  return call;
})();
