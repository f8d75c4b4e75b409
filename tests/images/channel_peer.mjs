// A program of the host at a guest's channel, for channel.test.ts: connects to the socket once it is there, and sends back
// each line in capitals. Three times: after each line it leaves and comes again.
import { connect } from "node:net";

function visit(path, left) {
  const socket = connect(path);
  socket.once("error", () => setTimeout(visit, 50, path, left));
  let line = "";
  socket.on("data", (bytes) => {
    line += bytes;
    if (!line.endsWith("\n")) return;
    socket.end(line.toUpperCase(), () => socket.destroy());
    if (left > 1) socket.once("close", () => visit(path, left - 1));
  });
}

visit(process.argv[2], 3);
