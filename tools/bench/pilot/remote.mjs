/** A forked process that answers operations over IPC. */
import { fork } from "node:child_process";

export class Remote {
  #calls = new Map();
  #id = 0;
  #ended;

  /** @param {string} file @param {unknown} argument @param {readonly string[]} [execArgv] @param {Record<string, string>} [env] */
  constructor(file, argument, execArgv = [], env = {}) {
    this.child = fork(file, [], {
      serialization: "advanced",
      execArgv: [...execArgv],
      env: { ...process.env, ...env },
    });
    this.child.send({ start: argument });
    this.ready = new Promise((resolve, reject) => {
      this.child.on("message", (message) => {
        if (message.ready !== undefined) return resolve(message.ready);
        const call = this.#calls.get(message.id);
        this.#calls.delete(message.id);
        if (message.error === undefined) call?.resolve(message.result);
        else call?.reject(new Error(message.error));
      });
      this.#ended = new Promise((done) => this.child.on("exit", done));
      this.child.on("exit", (code) => {
        const error = new Error(`${file} ended with ${code}`);
        reject(error);
        for (const call of this.#calls.values()) call.reject(error);
      });
    });
  }

  /** @param {string} operation @param {unknown} [argument] */
  call(operation, argument) {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.child.send({ id, operation, argument });
    });
  }

  /** Ends the process, by force when it does not end by itself within 5 s. */
  async stop() {
    if (this.child.exitCode !== null) return;
    this.child.send({ operation: "stop" }, () => {});
    const force = setTimeout(() => this.child.kill("SIGKILL"), 5_000);
    await this.#ended;
    clearTimeout(force);
  }
}
