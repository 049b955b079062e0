# An HTTP/2 client with python3-h2: so many POSTs at once on one connection, each body in small frames; prints one line of JSON.
import json
import socket
import sys

import h2.config
import h2.connection
import h2.events

port, count, size = (int(word) for word in sys.argv[1:4])
sock = socket.create_connection(("127.0.0.1", port))
sock.settimeout(60)
conn = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=True))
conn.initiate_connection()
left = {}
for _ in range(count):
    stream = conn.get_next_available_stream_id()
    conn.send_headers(stream, [(":method", "POST"), (":path", "/back"), (":scheme", "http"), (":authority", "h2")])
    left[stream] = size
answers = {stream: {"status": None, "bytes": 0} for stream in left}
ended = set()


def send_more():
    for stream in list(left):
        while left[stream] > 0:
            room = min(conn.local_flow_control_window(stream), conn.max_outbound_frame_size, 1000, left[stream])
            if room <= 0:
                break
            conn.send_data(stream, b"x" * room, end_stream=room == left[stream])
            left[stream] -= room


while len(ended) < count:
    send_more()
    sock.sendall(conn.data_to_send())
    data = sock.recv(65536)
    if not data:
        break
    for event in conn.receive_data(data):
        if isinstance(event, h2.events.ResponseReceived):
            answers[event.stream_id]["status"] = dict(event.headers).get(b":status", dict(event.headers).get(":status"))
        elif isinstance(event, h2.events.DataReceived):
            answers[event.stream_id]["bytes"] += len(event.data)
            conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
            ended.add(event.stream_id)


def text(status):
    return status.decode() if isinstance(status, bytes) else status


print(json.dumps([[text(answer["status"]), answer["bytes"]] for answer in answers.values()]))
