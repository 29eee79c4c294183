"""The style sheet of the page: one column, light and dark, legible in print."""

CSS = """\
:root {
  color-scheme: light dark;
  --text: #1b1b1b; --soft: #5c5c5c; --back: #ffffff; --card: #f6f6f4; --line: #d9d9d4;
  --published: #8a3d00; --ours: #00507f; --good: #00624a; --bad: #a23b00; --open: #5c5c5c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e8e8e6; --soft: #a9a9a5; --back: #161617; --card: #202022; --line: #3a3a3d;
    --published: #f0a868; --ours: #7cc4f2; --good: #4fd3ac; --bad: #ff9a5c; --open: #b5b5b0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 .6rem; }
header p, section > p { max-width: 50rem; }
section { margin-top: 3rem; padding-top: 1.2rem; border-top: 1px solid var(--line); scroll-margin-top: 1rem; }
nav { margin-top: 1.5rem; padding: 1rem 1.25rem; background: var(--card); border-radius: 8px; }
nav h2 { font-size: 1rem; }
nav ul { margin: 0; padding-left: 1.2rem; columns: 2; column-gap: 2.5rem; }
nav li { break-inside: avoid; margin-bottom: .2rem; }
a { color: var(--ours); }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; }
.claims table, .numbers table { width: 100%; }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); font-weight: 600; }
.numbers th[colspan] { border-bottom: 1px solid var(--line); }
.numbers th, .numbers td { padding: .4rem .5rem; }
.numbers tbody th { font-weight: 600; white-space: nowrap; }
.numbers th.published, .numbers td.published { border-left: 1px solid var(--line); }
.numbers th.published, .numbers th.ours { font-weight: 500; }
.numbers th.published, td.published { color: var(--published); }
.numbers th.ours, td.ours { color: var(--ours); }
td.ours { font-weight: 600; white-space: nowrap; }
td.published { white-space: nowrap; }
td.small { white-space: normal; font-weight: 400; min-width: 5.5rem; }
.cells td, .claims td:first-child { white-space: nowrap; }
.claims td:nth-child(2) { min-width: 16rem; }
.small { font-size: .82rem; font-weight: 400; color: var(--soft); }
td.ours .small { color: inherit; opacity: .85; }
.verdict { white-space: nowrap; font-weight: 600; border: 1px solid currentColor; border-radius: 999px;
  padding: .05rem .6rem; font-size: .85rem; }
.verdict.holds { color: var(--good); }
.verdict.fails { color: var(--bad); }
.verdict.open { color: var(--open); border-style: dashed; }
.notice { padding: .6rem .9rem; background: var(--card); border-left: 4px solid var(--open);
  border-radius: 4px; }
code { font: .88em ui-monospace, "DejaVu Sans Mono", monospace; background: var(--card); padding: .1em .3em;
  border-radius: 4px; overflow-wrap: anywhere; }
details summary { cursor: pointer; }
details table { font-size: .82rem; }
figure { margin: 1rem 0; }
img { display: block; max-width: 100%; height: auto; background: #fff; padding: .8rem; border-radius: 8px;
  border: 1px solid var(--line); }
dl.settings { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .8rem 0 0; font-size: .82rem;
  color: var(--soft); }
dl.settings dt, dl.settings dd { display: inline; margin: 0; }
dl.settings dt { font-weight: 600; margin-right: .4em; }
figcaption { margin-top: .4rem; font-size: .82rem; color: var(--soft); }
@media (max-width: 640px) { nav ul { columns: 1; } main { padding: 1.2rem .8rem 3rem; } }
@media print {
  :root { --text: #000; --soft: #333; --back: #fff; --card: #fff; }
  main { max-width: none; padding: 0; }
  section { break-inside: avoid-page; }
  .scroll { overflow: visible; }
}
"""
"""Plain CSS without any external resource."""
