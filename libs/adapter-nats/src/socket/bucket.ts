import { type Clock, messageOf } from "@lateen/kernel";
import {
  AckPolicy,
  createInbox,
  DeliverPolicy,
  DiscardPolicy,
  headers,
  type JetStreamManager,
  type Msg,
  type NatsConnection,
  NatsError,
  nanos,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
} from "nats";
import type { BucketMessage } from "../state/mirror.ts";
import type { BucketFacts, BucketWrite } from "../state/writer.ts";

/** Milliseconds for one question to the server. */
const REQUEST_MS = 5000;
const HEARTBEAT_MS = 1000;
/** Silence after which a reading is over. */
const SILENCE_MS = 3500;
/** What the server says of a message that is not the next one. */
const WRONG_SEQUENCE = 10071;
const STREAM_NOT_FOUND = 10059;
const OPERATION = "KV-Operation";

/** How many copies a bucket has that we make, and the most it may hold. */
export interface BucketSize {
  readonly replicas: number;
  readonly maxBytes: number;
}

/** Names and subjects of a bucket: what `nats kv` shows, and where its messages lie. */
function places(bucket: string) {
  return { stream: `KV_${bucket}`, prefix: `$KV.${bucket}.` };
}

async function manager(connection: NatsConnection): Promise<JetStreamManager> {
  return connection.jetstreamManager({ timeout: REQUEST_MS, checkAPI: false });
}

/** What there is; undefined when there is no such bucket. */
export async function lookAtBucket(connection: NatsConnection, bucket: string): Promise<BucketFacts | undefined> {
  try {
    const { created, state } = await (await manager(connection)).streams.info(places(bucket).stream);
    return { created, last: state.last_seq, names: state.num_subjects };
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

/** Makes the bucket when there is none. */
export async function ensureBucket(connection: NatsConnection, bucket: string, size: BucketSize): Promise<BucketFacts> {
  const found = await lookAtBucket(connection, bucket);
  if (found !== undefined) return found;
  const { stream, prefix } = places(bucket);
  const { created, state } = await (await manager(connection)).streams.add({
    name: stream,
    subjects: [`${prefix}>`],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    num_replicas: size.replicas,
    max_msgs_per_subject: 1,
    max_bytes: size.maxBytes,
    deny_delete: true,
    allow_rollup_hdrs: true,
    allow_direct: true,
  });
  return { created, last: state.last_seq, names: state.num_subjects };
}

/** @returns the sequence it has; rejects when the server did not take it, whyever. */
export async function writeToBucket(connection: NatsConnection, bucket: string, write: BucketWrite): Promise<number> {
  const own = headers();
  if (write.bytes === undefined) own.set(OPERATION, "DEL");
  const { seq } = await connection
    .jetstream({ timeout: REQUEST_MS })
    .publish(`${places(bucket).prefix}${write.name}`, write.bytes ?? new Uint8Array(), {
      headers: own,
      expect: { lastSequence: write.after },
      timeout: REQUEST_MS,
    });
  return seq;
}

/** Whether a write was refused because something else had been written. */
export function isOutOfSequence(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === WRONG_SEQUENCE;
}

/** Takes a deletion out of the bucket, unless something newer lies there. */
export async function cleanBucket(
  connection: NatsConnection,
  bucket: string,
  { name, sequence }: { readonly name: string; readonly sequence: number },
): Promise<void> {
  const { stream, prefix } = places(bucket);
  await (await manager(connection)).streams.purge(stream, { filter: `${prefix}${name}`, seq: sequence + 1 });
}

export interface BucketReading {
  readonly message: (message: BucketMessage) => void;
  /** Everything that was there at the beginning has come. */
  readonly caughtUp: () => void;
  /** It is over; nothing is called any more. */
  readonly ended: (reason: string) => void;
}

/**
 * Reads a bucket: the last message of each name, then every new one in order. Any irregularity — a gap, silence, a consumer that the server
 * dropped — ends it; whoever wants to go on reads again from the beginning. One name pattern, for servers before 2.10.
 * @returns ends it without a word.
 */
export async function readBucket(
  connection: NatsConnection,
  bucket: string,
  clock: Clock,
  reading: BucketReading,
): Promise<() => void> {
  const { stream, prefix } = places(bucket);
  const inbox = createInbox();
  let over = false;
  let caughtUp = false;
  let received = 0;
  let heardAt = clock.monotonic();
  const subscription = connection.subscribe(inbox, { callback: (error, message) => take(error, message) });
  const stopWatch = clock.every(HEARTBEAT_MS, () => {
    if (clock.monotonic() - heardAt > SILENCE_MS) end("the server fell silent");
  });
  const close = () => {
    if (over) return;
    over = true;
    stopWatch();
    subscription.unsubscribe();
  };
  const end = (reason: string) => {
    if (over) return;
    close();
    reading.ended(reason);
  };
  const complete = () => {
    if (caughtUp || over) return;
    caughtUp = true;
    reading.caughtUp();
  };
  const control = (message: Msg) => {
    const known = message.headers;
    if (known === undefined || known.code === 0) return false;
    if (known.code !== 100) end(`the server says ${known.code} ${known.description}`);
    else if (message.reply !== undefined && message.reply !== "") message.respond();
    else {
      const last = known.get("Nats-Last-Consumer");
      if (last !== "" && Number(last) !== received) end("messages were lost");
      const stalled = known.get("Nats-Consumer-Stalled");
      if (stalled !== "") connection.publish(stalled);
    }
    return true;
  };
  const take = (error: NatsError | null, message: Msg) => {
    if (over) return;
    if (error !== null) return end(messageOf(error));
    heardAt = clock.monotonic();
    if (message.data.length === 0 && control(message)) return;
    const place = placeOf(message.reply);
    if (place === undefined || !message.subject.startsWith(prefix)) return end("the server sent something else");
    received++;
    if (place.delivery !== received) return end("messages were lost");
    const operation = message.headers?.get(OPERATION) ?? "";
    reading.message({
      sequence: place.sequence,
      name: message.subject.slice(prefix.length),
      bytes: operation === "" ? message.data : undefined,
    });
    if (place.pending === 0) complete();
  };
  try {
    const consumer = await (await manager(connection)).consumers.add(stream, {
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.LastPerSubject,
      replay_policy: ReplayPolicy.Instant,
      ack_policy: AckPolicy.None,
      filter_subject: `${prefix}>`,
      flow_control: true,
      idle_heartbeat: nanos(HEARTBEAT_MS),
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanos(30_000),
    });
    if (consumer.num_pending + consumer.delivered.consumer_seq === 0) complete();
  } catch (error) {
    close();
    throw error;
  }
  return close;
}

/** Where a message stands, from the subject that JetStream wants answers at (its versions 1 and 2). */
function placeOf(reply: string | undefined) {
  const tokens = (reply ?? "").split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  const at = tokens.length === 9 ? 4 : 6;
  const [sequence, delivery, , pending] = tokens.slice(at + 1, at + 5).map(Number);
  if (sequence === undefined || delivery === undefined || pending === undefined) return undefined;
  return [sequence, delivery, pending].every(Number.isSafeInteger) ? { sequence, delivery, pending } : undefined;
}
