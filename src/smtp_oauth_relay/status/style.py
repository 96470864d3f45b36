"""How the pages look: one style sheet, for light and dark, for a desk and for a phone."""

import base64
import hashlib

STYLE = """
:root { --ink: #1a2230; --soft: #556070; --paper: #f5f6f8; --card: #fff; --line: #d9dde3;
  --good: #17693a; --good-paper: #e2f4e8; --warn: #8a5300; --warn-paper: #fff1d6;
  --bad: #a3161f; --bad-paper: #fde6e7; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9fa9b8; --paper: #12161c;
  --card: #1b212a; --line: #313a47; --good: #7fd8a0; --good-paper: #14301f; --warn: #f4c267;
  --warn-paper: #3a2a0c; --bad: #ff9ea3; --bad-paper: #42171b; --link: #8abdf5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
h1 { font-size: 1.35rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
a { color: var(--link); } small, .soft { color: var(--soft); } p { margin: .25rem 0; }
.card, .state { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .75rem 1rem; margin-top: 1rem; }
.state { border-width: 0 0 0 .5rem; border-style: solid; }
.state strong { font-size: 1.2rem; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.state.good { background: var(--good-paper); border-color: var(--good); }
.state.warn { background: var(--warn-paper); border-color: var(--warn); }
.state.bad { background: var(--bad-paper); border-color: var(--bad); }
.state p, .state li { color: var(--ink); } ul { margin: .25rem 0; padding-left: 1.25rem; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem;
  margin: 1rem 0 0; }
.numbers div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem .75rem; display: flex; flex-direction: column-reverse;
  justify-content: flex-end; }
.numbers dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.numbers dt { color: var(--soft); font-size: .85rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .85rem; }
th, td { padding: .35rem .75rem .35rem 0; vertical-align: top; border-top: 1px solid var(--line); }
thead th { border-top: 0; white-space: nowrap; } td.short { white-space: nowrap; }
.fields th { min-width: 5rem; overflow-wrap: normal; max-width: 12rem; }
@media (min-width: 44.01rem) { td.who { min-width: 9rem; } }
.badge { font-weight: 600; } .cure { display: block; margin: .15rem 0; }
.cure::before { content: "→ "; } small.ids { display: block; }
code, pre { font: 13px/1.4 ui-monospace, monospace; }
pre { white-space: pre-wrap; margin: 0; unicode-bidi: plaintext; }
summary { cursor: pointer; font-weight: 600; }
iframe { width: 100%; height: 60vh; border: 1px solid var(--line); border-radius: .25rem;
  background: #fff; color-scheme: light; }
@media (max-width: 44rem) { body { padding: .5rem; }
  .table thead { display: none; } .table tr { display: block; border-top: 1px solid var(--line);
    padding: .4rem 0; } .table td { display: block; border: 0; padding: .05rem 0; }
  .table td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); }
  .table td:empty { display: none; } }
"""

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; frame-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the pages: this style sheet, and nothing from anywhere."""
