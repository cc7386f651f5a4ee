"""A site's own word on who may come: one rule, found by its name, which allows or refuses an enrolment or a check-in.

* `asking`    what a rule is asked, and how it refuses (values);
* `finding`   a rule by its name: every file of the folder `rules` registers what is in it;
* `deciding`  asks the rule, within a time, and believes no nonsense;
* `rules`     the site's files. Muster has none of its own.

A site writes against `SiteQuestion`, `NotAdmitted` and `site_rule`; docs/site-rules.md has an example.
"""

from chalicelib.admission.asking import NotAdmitted, SiteQuestion
from chalicelib.admission.finding import site_rule

__all__ = ["NotAdmitted", "SiteQuestion", "site_rule"]
