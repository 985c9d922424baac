"""What the generated pages say around their tables."""

RESTARTED = """\
A service manager should start a runner again after any code but 0, 2 and 3: a configuration that is wrong stays wrong,
and a refused credential stays refused. A runner that was handed a grant token, by n8n or its launcher, ends with 3 when
it has lost its connection, and whoever started it starts another."""

CONVERSION = """# What becomes of values that JSON lacks

n8n takes JSON, and Python has more. What code returns is converted by the tables below, wherever in the result it
stands; what one of them makes of a value is converted in turn. Each example shows an expression and its JSON.
`print` shows values in its own way, which is that of n8n's own Python runner.

The most specific type counts: a pandas `Timestamp` is a `datetime` too, and yet has its own row. Where no row has the
type or one that it is derived from, it is the first row that fits. Nothing is imported for this: numpy, pandas and the
others are known by name, once the code has loaded them.

**Keys** become text. Numbers, `True`, `False` and `None` become what JSON has for them; other keys become what the
same value becomes below, if that is text or a number, and else `str(key)`. A key that is NaN, Infinity or NaT is
written like this in text as well (`nan`, `inf`, `NaT`). Of two keys that become the same, the later one counts.

**Whole numbers** are sent with all their digits, but n8n is written in JavaScript, which has 53 bits for them: beyond
9,007,199,254,740,991 it takes the nearest number that it has, so that 9007199254740993 arrives as 9007199254740992.
Where every digit counts, as in ids, return text: `str(number)`. Those of more than 4,300 digits are refused.

**Items.** Where n8n needs a list of items, whatever becomes a list of objects is one: a `DataFrame`, a `deque` of
dicts, a list of dataclass objects. Where it needs an object, so does whatever becomes an object.

**Refused** is what contains itself, what is nested too deeply (hundreds of levels are possible), and what the last
table says. If a method of a value raises, such as its `__str__`, the task fails with this exception."""

METRICS_INTRODUCTION = """
# Metrics

`n8n-runner start` serves these at `/metrics` for Prometheus, with `N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED=true`, on
`N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST` and `N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT`. A program that embeds a runner serves
them with `StatusServer`. A dashboard for Grafana, made from the same table, is in
[deploy/grafana.json](deploy/grafana.json): Dashboards, New, Import.

Two alerts that are worth having: `n8n_runner_ready == 0` for two minutes, and
`increase(n8n_runner_crashes_total[1h]) > 0`, each of which is a bug.
"""

CODE_NODE = """# What code is given

The names of n8n's JavaScript, with `_` for `$`. They are there without an import, and cost nothing when they are not
named. What the code names is seen when it is compiled; what n8n knows of the execution is asked for once, when it is
first needed, and of other nodes only those that are named: `_("Orders").all()` asks for `Orders`, while a name that is
made as the code runs, `item`, `itemMatching` and `pairedItem` ask for all nodes.

Items and data are dicts and lists, and are read in both ways, `item["json"]["total"]` and `item.json.total`. What dicts
have themselves comes first: a key such as `keys`, `items` or `values` is read with brackets. What is not there is an
error that says what is. The dicts are of a class derived from `dict`, where code reads attributes; for a library that
insists on plain ones, `dict(data)` makes one.

Functions of n8n wait for their answer, and `await` may stand before them: `x = _helpers.httpRequest(…)` and
`x = await _helpers.httpRequest(…)` are the same, in plain code and in `async` functions. To make several requests at a
time, use threads, of which eight are answered at once: `ThreadPoolExecutor(8).map(fetch, addresses)`, or
`asyncio.gather(*(asyncio.to_thread(fetch, address) for address in addresses))`, with `concurrent` or `asyncio` among
the allowed modules. Credentials stay in n8n. What n8n refuses raises an exception with n8n's message, which the code
may catch.

[`n8n-runner run`](run.md) gives the same names without an n8n, and [your editor](editors.md) can know them.

## Against JavaScript

{against}
Not there are `$fromAI`, `$evaluateExpression` and the `DateTime` of Luxon, for which Python has `datetime`; nor the
functions of `this.helpers` that n8n gives no task runner. Node settings are as they were written, expressions not
worked out. An input without items gives an empty list and `None` where JavaScript raises an error.

## With examples

Each example is run by the tests, in [this execution](examples/execution.json): the nodes `Start`, `Customers`, `Orders`
and the Code node, in this row, and `Refunds` behind it. `Orders` has given two items. What an example returns stands
below it: the data of its first item.
"""

SANDBOX = """
Tasks run in processes of their own, one each. They are forked ahead from a process, the zygote, that has imported the
allowed packages and holds no secret; the kernel confines them before they see any code; they end with their task.

## What a task cannot do

`n8n-runner start` says which of these layers this machine's kernel has. With `N8N_RUNNERS_CONFINEMENT=required` it does
not start unless all are complete; `N8N_RUNNERS_LANGUAGE=full` needs them all as well.

{layers}

## Modules that are allowed unless others are named

{modules}

## What a task may ask of n8n

Code asks n8n for data of its own execution and for a few functions ([what code is given](code-node.md)). It does so
over the one socket that its process has, to the runner, which believes nothing of it. What is asked comes in parts that
are checked one by one. The functions are those that n8n serves to task runners; any other ends the task, and so does a
question of another shape than an honest process gives it: n8n itself would end on some, or stand still. It is the
runner that puts the task's id to each question, so that none is about another task. HTTP requests are made by n8n, as
those of JavaScript code, and so also where tasks have no network of their own. Neither tokens nor credentials come near
the code.

At most {most_open} questions of a task are open at a time, or {most_held} MiB of them with the answers that it has not
read. Until some are answered, nothing more is read from its process: it can neither ask nor return, and the task
timeout ends it. A question may have {question_limit} MiB. What was asked ends with the task, and answers that come
later are dropped.

## What it does not promise

- The kernel itself is trusted. A task that finds an error in the system calls that are left to it is not held by this.
- Tasks share processors and disk: one may slow others down, within its limits of time, memory and file size.
- Where a layer is missing, it is missing: on a kernel without Landlock tasks read what their user can read, and without
  seccomp they may start processes. The first line of the log says so.
- Started as root, the runner makes tasks another user's. Where that user may not read the interpreter (below `/root`,
  say), tasks stay root without any capabilities, and the number of their threads is not bounded.
- Where code asks for addresses or times, it sees those of the machine: there is no protection against covert channels
  between tasks that run at the same time and want to speak to each other.
- The rules about names and attributes are for the familiar errors, and a second wall. Packages that are allowed can do
  whatever the kernel lets them.
- The hash seed of texts is the zygote's, the same in all tasks of one zygote.
"""
