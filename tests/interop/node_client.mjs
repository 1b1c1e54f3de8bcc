// Two participants on LiveKit's Node SDK and a client of its Node server SDK. Prints what they saw, one JSON object a line;
// the test judges it. Ends with status 1 and a line {"error": …} when something does not come about.
import {
  AudioFrame,
  AudioSource,
  AudioStream,
  LocalAudioTrack,
  Room,
  RoomEvent,
  TrackPublishOptions,
  TrackSource,
  dispose,
} from '@livekit/rtc-node';
import { AccessToken, DataPacket_Kind, RoomServiceClient } from 'livekit-server-sdk';

const { LIVEKIT_URL: url, LIVEKIT_API_KEY: key, LIVEKIT_API_SECRET: secret } = process.env;
const roomName = process.argv[2];
const RATE = 48_000;
const LIMIT_MS = 20_000;

const print = (fact) => console.log(JSON.stringify(fact));

function limit(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not in time`)), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The arguments of the next event that the filter takes.
function next(room, event, what, take = () => true) {
  const found = new Promise((resolve) => {
    const listener = (...values) => {
      if (!take(...values)) return;
      room.off(event, listener);
      resolve(values);
    };
    room.on(event, listener);
  });
  return limit(what, found);
}

async function join(identity) {
  const token = new AccessToken(key, secret, { identity, name: identity.toUpperCase() });
  token.addGrant({ roomJoin: true, room: roomName, canUpdateOwnMetadata: true });
  const room = new Room();
  await limit(`${identity} joins`, room.connect(url, await token.toJwt(), { autoSubscribe: true, dynacast: true }));
  return room;
}

// Publishes a sine until stopped.
async function publishTone(room, hertz) {
  const source = new AudioSource(RATE, 1);
  const wave = Int16Array.from({ length: RATE }, (_, n) => 10_000 * Math.sin((2 * Math.PI * hertz * n) / RATE));
  let going = true;
  const played = (async () => {
    for (let at = 0; going; at = (at + 480) % RATE) {
      await source.captureFrame(new AudioFrame(wave.slice(at, at + 480), RATE, 1, 480));
    }
  })();
  const track = LocalAudioTrack.createAudioTrack('tone', source);
  const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE });
  const publication = await limit('publishing', room.localParticipant.publishTrack(track, options));
  const stop = async () => {
    going = false;
    await played.catch(() => {});
    await source.close();
  };
  return { publication, stop };
}

// Hertz by counting how often the sound crosses zero, in half a second after the first.
async function hertzHeard(track) {
  const reader = new AudioStream(track, RATE, 1).getReader();
  const samples = [];
  while (samples.length < 1.5 * RATE) {
    const { value, done } = await limit('sound', reader.read());
    if (done) break;
    samples.push(...value.data);
  }
  await reader.cancel();
  const heard = samples.slice(RATE, 1.5 * RATE);
  return heard.filter((sample, n) => n > 0 && sample >= 0 !== heard[n - 1] >= 0).length;
}

async function main() {
  const alice = await join('alice');
  const met = next(alice, RoomEvent.ParticipantConnected, 'alice sees bob');
  const bob = await join('bob');
  print({ step: 'join', seen: [...bob.remoteParticipants.keys()], met: (await met)[0].name });

  const subscribed = next(bob, RoomEvent.TrackSubscribed, 'bob gets the track');
  const tone = await publishTone(alice, 440);
  const [track, publication] = await subscribed;
  print({ step: 'media', same: publication.sid === tone.publication.sid, hertz: await hertzHeard(track) });

  const data = next(bob, RoomEvent.DataReceived, 'data', (_p, _s, _k, topic) => topic === 'greeting');
  await alice.localParticipant.publishData(new TextEncoder().encode('hello'), { reliable: true, topic: 'greeting' });
  const [payload, sender] = await data;
  print({ step: 'data', text: new TextDecoder().decode(payload), sender: sender.identity });

  const read = new Promise((resolve) => {
    bob.registerTextStreamHandler('chat', async (reader) => resolve(await reader.readAll()));
  });
  await alice.localParticipant.sendText('äöü '.repeat(10_000), { topic: 'chat' });
  print({ step: 'stream', length: (await limit('text', read)).length });

  bob.localParticipant.registerRpcMethod('shout', async ({ payload }) => payload.toUpperCase());
  const request = { destinationIdentity: 'bob', method: 'shout', payload: 'hello' };
  print({ step: 'rpc', answer: await limit('rpc', alice.localParticipant.performRpc(request)) });

  const service = new RoomServiceClient(url.replace('ws', 'http'), key, secret);
  const people = await service.listParticipants(roomName);
  const news = next(bob, RoomEvent.DataReceived, 'news', (_p, _s, _k, topic) => topic === 'news');
  await service.sendData(roomName, new TextEncoder().encode('news'), DataPacket_Kind.RELIABLE, { topic: 'news' });
  await news;
  const changed = next(alice, RoomEvent.RoomMetadataChanged, 'metadata');
  await service.updateRoomMetadata(roomName, 'changed');
  await changed;
  const gone = next(alice, RoomEvent.Disconnected, 'being removed');
  const left = next(bob, RoomEvent.ParticipantDisconnected, 'alice leaves');
  await service.removeParticipant(roomName, 'alice');
  const reason = (await gone)[0];
  await left;
  print({ step: 'service', people: people.map(({ identity }) => identity).sort(), metadata: alice.metadata, reason });

  await tone.stop();
  await bob.disconnect();
  print({ step: 'end' });
}

let status = 0;
try {
  await main();
} catch (error) {
  print({ error: String(error.stack ?? error) });
  status = 1;
}
await Promise.race([dispose(), new Promise((resolve) => setTimeout(resolve, 3000))]);
process.exit(status);
