"""The connection to the task broker: credentials, the WebSocket, and the driver behind the connection machine."""
