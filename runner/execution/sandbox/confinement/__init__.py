"""What the kernel does to keep a task in: the child's side, standard library only.

How it holds together
---------------------
`layers` is the one table of everything that is done, and of how it is reported. `spec` says, in plain values, what is
to be confined to, and `readable` what an interpreter has to read. `confine` applies the layers in two moments: once in
the zygote, the long-lived parent, which has to be able to fork and to pass sockets on; and once more, tighter, in each
worker before it sees any user code. One process may be both.

Below that, one module for each means: `privileges` (user, capabilities), `process` (what ties a process to others),
`landlock` (files, TCP ports), `rules` and `syscall_filter` (system calls), `limits` (resources). They speak to the
kernel through `kernel`, by the numbers in `syscalls`, and say in a `report` what they achieved. None of them raises
where the kernel lacks something: a layer that is missing is reported as missing, with the reason.

No layer stands alone. Landlock does not know of chmod, so the filter stops it; the filter does not know paths, so
Landlock does those. Where two walls stand behind each other, the table says so.
"""
