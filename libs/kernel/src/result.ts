/** The outcome of something that may fail in an expected way. Pure code returns it; effects throw {@link LateenError}. */
export type Result<T, E> = Ok<T> | Err<E>;
export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}
export interface Err<E> {
  readonly ok: false;
  readonly error: E;
}

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

export function err<E>(error: E): Err<E> {
  return { ok: false, error };
}

/** Applies `change` to a success, leaves a failure as it is. */
export function mapResult<T, U, E>(result: Result<T, E>, change: (value: T) => U): Result<U, E> {
  return result.ok ? ok(change(result.value)) : result;
}

/** All values, or all failures. */
export function collectResults<T, E>(results: readonly Result<T, E>[]): Result<T[], E[]> {
  const values: T[] = [];
  const errors: E[] = [];
  for (const result of results) {
    if (result.ok) values.push(result.value);
    else errors.push(result.error);
  }
  return errors.length > 0 ? err(errors) : ok(values);
}

/** The value, or throws the error given by `raise`. For edges only. */
export function expectOk<T, E>(result: Result<T, E>, raise: (error: E) => Error): T {
  if (result.ok) return result.value;
  throw raise(result.error);
}
