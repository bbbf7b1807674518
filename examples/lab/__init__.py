# SPDX-License-Identifier: MPL-2.0
"""What it takes to try the plugin on one machine: a stream, an origin, a tracker and viewers."""
