"""The stages of a recipe. Each says everything about itself in its own module, and one line of `registry` names it."""
