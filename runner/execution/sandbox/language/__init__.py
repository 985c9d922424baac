"""The language rules of n8n: what the code of a task may import, name and touch. Standard library only.

They are for the errors that n8n users know, and a second wall. The first is the kernel's: whoever gets through here is
still in a confined process.

Before it runs, the text is checked (`static_check`): names that are blocked (`rules`), imports that are not allowed
(`imports`, with a `policy`). What only the run can tell is looked at then: `rewrite` changes such accesses into calls
of `attributes` and `formatting`; an import gives a face of the module (`importing`, `modules`) without the members
that would get around the rules (`members`, `replacements`); classes are looked at when they are made (`classes`), and
so is text that is run as code (`dynamic`). What the standard library does with its own builtins for whoever calls it is
changed in the modules themselves (`preparing`): they read attributes through ours (`shadows`), and copy in our way
(`copying`). `prepare` does all that is done to a text.

Under `language="full"` only the rules about imports hold.
"""
