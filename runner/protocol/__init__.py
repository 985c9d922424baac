"""The wire between a task broker and a task runner: messages as classes, and the codec."""
