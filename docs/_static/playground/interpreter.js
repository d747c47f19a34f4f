// The Python of the page: MicroPython in a worker, running the package's own files, unchanged.
"use strict";
window.lossoptPlayground ??= {};

(() => {
  const PATIENCE = 4000; // milliseconds; a rule that takes longer is taken for one that never ends

  // Runs in the worker. Its text becomes a blob, and what it loads comes in a message:
  // a page that was opened as a file may not read the files beside it.
  const work = () => {
    const unpack = async (packed) => {
      const stream = new DecompressionStream("gzip");
      const writer = stream.writable.getWriter();
      writer.write(Uint8Array.from(atob(packed), (character) => character.charCodeAt(0)));
      writer.close();
      return new Uint8Array(await new Response(stream.readable).arrayBuffer());
    };
    const text = async (packed) => new TextDecoder().decode(await unpack(packed));

    const boot = async ({ module, binary, files }) => {
      const wasm = await unpack(binary);
      // The loader asks for its binary once; this is the answer.
      self.fetch = async () => new Response(wasm, { headers: { "Content-Type": "application/wasm" } });
      const { loadMicroPython } = await import(`data:text/javascript,${encodeURIComponent(await text(module))}`);
      const python = await loadMicroPython({ url: "micropython.wasm", heapsize: 8 * 1024 * 1024 });
      for (const [path, content] of Object.entries(JSON.parse(await text(files)))) {
        const folders = path.split("/").slice(0, -1);
        folders.forEach((_, depth) => {
          const folder = `/${folders.slice(0, depth + 1).join("/")}`;
          if (!python.FS.analyzePath(folder).exists) python.FS.mkdir(folder);
        });
        python.FS.writeFile(`/${path}`, content);
      }
      python.runPython("import sys; sys.path.append('/'); from driver import answer");
      return python.globals.get("answer");
    };

    let answer;
    self.onmessage = async ({ data }) => {
      try {
        // Numbers cross as text: MicroPython would squeeze whole ones to 32 bits.
        if (data.runtime) answer = await boot(data.runtime);
        self.postMessage({ answer: data.runtime ? null : JSON.parse(answer(data.question)) });
      } catch (error) {
        self.postMessage({ answer: { error: { message: String(error), line: null } } });
      }
    };
  };

  class Interpreter {
    // Questions are put one at a time; a newer one of a kind replaces the one of that kind that still waits.
    // `refuse` is told why Python could not start, if it could not.
    constructor(refuse) {
      this.refuse = refuse;
      this.waiting = new Map();
      this.busy = true;
      this.start();
    }

    async start() {
      try {
        await (lossoptPlayground.loading ??= loadPlayground("runtime.js"));
        const url = URL.createObjectURL(new Blob([`(${work})()`], { type: "text/javascript" }));
        this.worker = new Worker(url);
        const answer = await this.send({ runtime: lossoptPlayground.runtime });
        URL.revokeObjectURL(url);
        if (answer) throw new Error(answer.error.message);
      } catch (error) {
        this.refuse(error.message);
        return;
      }
      this.busy = false;
      this.next();
    }

    send(message) {
      return new Promise((resolve) => {
        this.worker.onmessage = ({ data }) => resolve(data.answer);
        this.worker.postMessage(message);
      });
    }

    // `use` gets the answer, or null if none came in time.
    ask(kind, question, use) {
      this.waiting.set(kind, { question, use });
      this.next();
    }

    async next() {
      if (this.busy || this.waiting.size === 0) return;
      const kind = ["surface", "race", "signature", "map"].find((each) => this.waiting.has(each));
      const { question, use } = this.waiting.get(kind);
      this.waiting.delete(kind);
      this.busy = true;
      const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, null));
      const answer = await Promise.race([this.send({ question: JSON.stringify(question) }), late]);
      if (answer === null) {
        this.worker.terminate();
        this.start();
      } else this.busy = false;
      use(answer);
      this.next();
    }
  }

  lossoptPlayground.Interpreter = Interpreter;
})();
