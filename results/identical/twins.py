"""Plug-in: each eager implementation again under another name, to measure it against itself."""

from rnnbench.implementations import implementation, load_builtin, registered

load_builtin()
for name in ("nn_rnn", "python_loop", "hoisted_loop"):
    original = registered()[name]
    implementation(f"{name}_twin", f"{name} again")(original.build)
