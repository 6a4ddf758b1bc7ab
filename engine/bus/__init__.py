"""Events in and out: the port, the embedded bus and NATS JetStream, and who sends what the outbox holds."""
