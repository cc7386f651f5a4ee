"""`python -m examples.rollouts`: play three rollouts and an experiment; the exit status says whether all came as expected."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from pathlib import Path

from examples.rollouts.acts import Act, RolloutPace
from examples.rollouts.figure import draw
from examples.rollouts.story import Story, play
from muster.wire import admin


def main() -> int:
    """Run the demo, write its figures, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.rollouts", description="Three rollouts and an experiment in one fleet."
    )
    parser.add_argument("--devices", type=int, default=600, help="scanners (default: %(default)s)")
    parser.add_argument("--steps", default="5,25", help="of the canaries, in per cent (default: %(default)s)")
    parser.add_argument(
        "--window", type=float, default=20.0, help="seconds, of reports looked at together (default: %(default)s)"
    )
    parser.add_argument("--heartbeat", type=float, default=10.0, help="seconds from one to the next (default: %(default)s)")
    parser.add_argument("--beats", type=float, default=3.5, help="heartbeats that the experiment lasts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of data and weights (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("build"), help="folder for rollout.json and rollout.png (default: %(default)s)"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    steps = tuple(float(step) for step in options.steps.split(","))
    pace = RolloutPace(
        steps=steps, window=options.window, pause=options.window, heartbeat=options.heartbeat, beats=options.beats
    )
    print(
        f"{options.devices} scanners, a heartbeat every {pace.heartbeat:g} s, windows of {pace.window:g} s; "
        f"worse is worse by more than {pace.margin:g} of accuracy.\n",
        flush=True,
    )
    try:
        story = play(options.devices, options.seed, pace, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    options.out.mkdir(parents=True, exist_ok=True)
    figures, picture = options.out / "rollout.json", options.out / "rollout.png"
    figures.write_text(json.dumps(story.as_json(), indent=1) + "\n")
    draw(story, picture)
    _sum_up(story)
    print(f"\n{story.seconds:.0f} seconds; wrote {figures} and {picture}")
    for sentence in story.unmet():
        print(f"FAILED: {sentence}")
    return 1 if story.unmet() else 0


def _sum_up(story: Story) -> None:
    """The figures that matter, a line or two each."""
    print()
    for act in (act for act in story.acts if not act.unmet):
        print(f"{act.name:<12}v{act.candidate} {_figures_of(act, story.devices)}")


def _figures_of(act: Act, devices: int) -> str:
    found = act.figures
    match act.name:
        case "canary":
            return f"promoted after {found['seconds']:.0f} s, with all devices {found['settled_seconds']:.0f} s later"
        case "sabotage":
            return (
                f"taken back after {found['seconds']:.0f} s, {found['first_report_to_abort_seconds']:.0f} s after its first "
                f"report; {found['ever_ran']} of {devices} devices ({found['ever_ran_share']:.1%}) ever ran it\n"
                f"{'':<12}alert: {found['alert'] and found['alert']['because']}"
            )
        case "experiment":
            result = admin.ExperimentReply.model_validate(found["result"])
            shares = ", ".join(f"{arm.name} v{arm.version} {arm.share:.1f} % of {arm.weight:g} %" for arm in result.arms)
            return "\n".join([shares, *(f"{'':<12}{sentence}" for sentence in result.said.split("; "))])
        case _:
            return (
                f"ready after {found['warmed_seconds']:.0f} s ({found['warmed_downloads']} downloads); "
                f"switch {found['switch_seconds']:.1f} s ({found['switch_downloads']} downloads), "
                f"way back {found['way_back_seconds']:.1f} s ({found['way_back_downloads']} downloads)"
            )


if __name__ == "__main__":
    sys.exit(main())
