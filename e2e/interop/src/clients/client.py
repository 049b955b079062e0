# The same as client.mjs, with gRPC's C core.
import json
import sys

import grpc
import grpc.experimental

channels = {}


def call(target, seconds):
    if target not in channels:
        # Plaintext where the control plane demands no TLS.
        plain = grpc.experimental.insecure_channel_credentials()
        channels[target] = grpc.secure_channel(target, grpc.xds_channel_credentials(plain))
    say = channels[target].unary_unary("/echo.Echo/Say")
    try:
        return say(b"hello", timeout=seconds).decode()
    except grpc.RpcError as error:
        return f"error: {error.code()} {error.details()}"


for line in sys.stdin:
    target, count, seconds = line.split()
    tally = {}
    for _ in range(int(count)):
        answer = call(target, int(seconds))
        tally[answer] = tally.get(answer, 0) + 1
    print(json.dumps(tally), flush=True)
