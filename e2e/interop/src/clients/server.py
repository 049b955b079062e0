# The same as server.mjs, with gRPC's C core.
import sys
from concurrent import futures

import grpc

name, address = sys.argv[1:3]


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method not in ("/echo.Echo/Say", "/echo.Echo/Whisper"):
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, context: name.encode())


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), xds=True)
server.add_generic_rpc_handlers((Echo(),))
server.add_secure_port(address, grpc.xds_server_credentials(grpc.insecure_server_credentials()))
server.start()
print("serving", flush=True)
server.wait_for_termination()
