"""`python -m smtp_oauth_relay` is the same as `smtp-oauth-relay`."""

import sys

from smtp_oauth_relay.cli import main

sys.exit(main())
