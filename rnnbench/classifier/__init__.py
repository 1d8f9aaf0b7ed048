"""The sequence classifier of a first RNN course: its data, model and training (worker side)."""
