"""What a round costs: every call to AWS of a run, counted by AWS's own rules, times a dated table of prices."""
