"""What is wrong about machines. Each marked line, and no other, has to be refused: by mypy, and by pyright."""

from statemachine import CONNECTION, ConnectionEvent, ConnectionMachine, Journal, TaskEvent, TaskMachine, TaskState
from statemachine.testing import FakeDriver, FakePerformer

machine = ConnectionMachine(Journal(lambda: 0.0))
machine.fire("connect")  # error: arg-type, reportArgumentType
machine.fire(TaskEvent.DONE)  # error: arg-type, reportArgumentType
machine.fire(ConnectionEvent.LOST, "1")  # error: arg-type, reportArgumentType
machine.state = machine.state  # error: misc, reportAttributeAccessIssue
machine.to_svg(True)  # error: call-arg, reportCallIssue
CONNECTION.to_dot(TaskState.RUNNING)  # error: arg-type, reportArgumentType
TaskMachine().fire(ConnectionEvent.LOST)  # error: arg-type, reportArgumentType
FakeDriver(machine, FakePerformer())  # error: call-arg, reportCallIssue
FakeDriver(machine, FakePerformer).fire("lost")  # error: arg-type, reportArgumentType
