#!/usr/bin/env node
// The name under which pods start their proxy, their init container and their hooks, whatever the proxy.
import "../dist/main.js";
