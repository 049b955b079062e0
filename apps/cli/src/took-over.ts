/** Thrown by a command whose app goes on in this process. */
export class TookOver extends Error {}
