# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What tests/guest/vm is made of: one module a job."""
