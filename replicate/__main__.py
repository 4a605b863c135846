"""`python -m replicate`."""

from replicate.commands.main import main

raise SystemExit(main())
