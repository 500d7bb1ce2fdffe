"""Asks all engines the same, one after the other, each in a process of its own, and compares their answers."""

import json
import random
import shutil
import statistics
import subprocess
import sys
import time

import machine

# journeylog once more, with fewer events.
SMALLER = "smaller"
# The same engine once more, with ids and names as numbers that were made of them before.
IN_NUMBERS = {"chdb_numbers": "chdb", "duckdb_numbers": "duckdb"}
PEERS = ["chdb", "duckdb", "sqlite", *IN_NUMBERS]
PARTS = ["load", "bare", "questions", "look_ups", "memory", "cold", "appends"]
BATCH = 1_000
# Questions, and which engines answer them. The other forms of the funnel have the answer of "funnel".
QUESTIONS = {
    "funnel": ["journeylog", "chdb", "duckdb"],
    "funnel_plain": ["chdb"],
    "funnel_windows": ["duckdb", "sqlite"],
    "funnel_windows_all": ["duckdb"],
    "transitions": ["journeylog", "chdb", "duckdb", "sqlite"],
    "stages": ["journeylog", "chdb", "duckdb", "sqlite"],
    "three": ["journeylog"],
    "filtered": ["journeylog", "chdb", "duckdb", "sqlite"],
    "by_channel": ["journeylog", "chdb", "duckdb"],
}
SAME_ANSWER = {"funnel_plain": "funnel", "funnel_windows": "funnel", "funnel_windows_all": "funnel"}
# What is asked in one scan as "three".
THREE = ["funnel", "transitions", "stages"]
# SQLite scans so slowly that it is asked up to this size only.
SQLITE_ASKS_UP_TO = 1_000_000
# Runs of a question in a round, after one to warm up: three, more if the first of all is short, one if it is long. In each round all
# questions are asked of all engines, and the runs of a question by the engines in turns, so that a machine whose speed changes changes it
# for all.
ROUNDS, TURNS = 3, 3
RUNS, LONG_RUNS, MOST_RUNS = 3, 1, 9
LONG, SHORT = 5.0, 0.25
# Seconds after which an opened store is at rest: what it still does in the background is not a question's.
TO_REST = 5
COLD_RUNS = 5
# Runs after a cold one that say what is warm, after one that is neither.
WARM_RUNS = 5
LOOK_UPS = {"journeylog": 2_000, "sqlite": 2_000, "chdb": 200, "duckdb": 200}
APPENDS = {1: 3_000, 8: 1_000}
APPEND_ROUNDS = 9


class Differs(Exception):
    """Two engines gave different answers."""


def compare(what, one, its, other, others):
    if its != others:
        raise Differs(f"ANSWERS DIFFER: {what}\n{one}: {json.dumps(its)}\n{other}: {json.dumps(others)}")


class Engine:
    """A process that serves one engine."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, do, **command):
        self.process.stdin.write(json.dumps({"do": do, **command}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} stopped at {do} {command.get('question', '')}")
        return json.loads(line)

    def memory(self):
        return machine.memory(self.process.pid)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Run:
    """One run over one world."""

    def __init__(self, program, python, py, folder, threads, peers, smaller=None):
        """The folder of a smaller world may be told: its journeylog is asked in turns with ours, to see how cost grows."""
        self.commands = {
            "journeylog": [program, "journeylog"],
            SMALLER: [program, "journeylog"],
            "sqlite": [program, "sqlite"],
            "chdb": [python, py / "chdb_engine.py"],
            "duckdb": [python, py / "duckdb_engine.py"],
            "chdb_numbers": [python, py / "chdb_engine.py", "numbers"],
            "duckdb_numbers": [python, py / "duckdb_engine.py", "numbers"],
        }
        self.program, self.folder, self.threads = program, folder, threads
        self.smaller = smaller
        self.engines = ["journeylog", *peers]
        self.in_text = [name for name in self.engines if name not in IN_NUMBERS]
        self.world = folder / "world.bin"
        self.about = json.loads(self.world.with_suffix(".json").read_text())
        self.running = []

    def say(self, *words):
        print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)

    def start(self, name):
        engine = Engine(name, self.commands[name])
        self.running.append(engine)
        return engine

    def open(self, name):
        engine = self.start(name)
        folder = self.smaller / "journeylog" if name == SMALLER else self.folder / name
        return engine, engine("open", folder=str(folder))

    def end(self):
        while self.running:
            self.running.pop().end()

    def stop(self, engine):
        self.running.remove(engine)
        engine("close")
        engine.end()

    def fresh(self, name):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return str(folder)

    def asks(self, name, question):
        sqlite_can = name != "sqlite" or self.about["events"] <= SQLITE_ASKS_UP_TO
        if name in IN_NUMBERS:
            return question not in SAME_ANSWER and IN_NUMBERS[name] in QUESTIONS[question]
        if name == SMALLER:
            return "journeylog" in QUESTIONS[question]
        return name in QUESTIONS[question] and name in self.engines and sqlite_can

    # The parts of a run.

    def load(self):
        """Loads each engine, and opens it twice."""
        figures = {}
        smaller = self.load_smaller()
        for name in self.engines:
            self.say("loading", name)
            engine = self.start(name)
            machine.forget_peak(engine.process.pid)
            before = engine.memory()["now"]
            loaded = engine("load", world=str(self.world), folder=self.fresh(name), batch=BATCH)
            compare("events loaded", "the world", self.about["events"], name, loaded["events"])
            loaded["peak_memory"] = engine.memory()["peak"] - before
            loaded["stats"] = engine("stats")
            self.stop(engine)
            loaded["disk"] = machine.size(self.folder / name)
            loaded["disk"]["counts"] = loaded["stats"].get("bytes", loaded["disk"]["bytes"])
            loaded["opens"] = []
            for _ in range(2):
                engine, opened = self.open(name)
                loaded["opens"].append(opened["seconds"])
                self.stop(engine)
            figures[name] = loaded
            if name == "journeylog" and self.smaller:
                smaller += self.load_smaller()
                figures[SMALLER] = {"load_s": statistics.median(smaller), "runs": smaller}
        if self.about["events"] <= 10_000_000:
            self.say("loading journeylog, synced at the end")
            engine, folder = self.start("journeylog"), self.fresh("journeylog-synced-at-end")
            loaded = engine("load", world=str(self.world), folder=folder, batch=BATCH, sync_each=False)
            figures["journeylog_at_end"] = loaded
            self.stop(engine)
            shutil.rmtree(folder)
        if "duckdb" in self.engines and self.about["events"] <= 10_000_000:
            self.say("loading duckdb, each batch committed")
            engine = self.start("duckdb")
            folder = self.fresh("duckdb-batches")
            figures["duckdb_batches"] = engine("load_batches", world=str(self.world), folder=folder, batch=BATCH)
            self.stop(engine)
            shutil.rmtree(folder)
        return figures

    def load_smaller(self):
        """Loads journeylog with the smaller world twice, if there is one: before and after ours, for a machine's speed changes."""
        seconds = []
        for _ in range(2 if self.smaller else 0):
            self.say("loading journeylog with the smaller world")
            engine, folder = self.start("journeylog"), self.fresh("journeylog-smaller")
            world = str(self.smaller / "world.bin")
            seconds.append(engine("load", world=world, folder=folder, batch=BATCH)["load_s"])
            self.stop(engine)
            shutil.rmtree(folder)
        return seconds

    def bare(self):
        """Loads journeylog without properties, for its size."""
        self.say("loading journeylog without properties")
        engine, folder = self.start("journeylog"), self.fresh("journeylog-bare")
        loaded = engine("load", world=str(self.world), folder=folder, batch=BATCH, properties=False)
        loaded["stats"] = engine("stats")
        self.stop(engine)
        loaded["disk"] = machine.size(folder)
        shutil.rmtree(folder)
        return loaded

    def questions(self):
        """Asks each question of each engine in turn, warm; all must answer the same."""
        names = [*self.engines, SMALLER] if self.smaller else self.engines
        engines = {name: self.open(name)[0] for name in names}
        asked = {question: {name: [] for name in names if self.asks(name, question)} for question in QUESTIONS}
        alone = {part: [] for part in THREE}
        answers, runs = {}, {}
        for _ in range(ROUNDS):
            for question, seconds in asked.items():
                self.say("asking", question, "of", *seconds)
                asks = [(engines[name], question, seconds[name]) for name in seconds]
                if question == "three":
                    asks += [(engines["journeylog"], part, alone[part]) for part in THREE]
                for engine, question, answer in self.ask_in_turns(asks, runs):
                    if engine.name != SMALLER:
                        self.check(answers, SAME_ANSWER.get(question, question), engine.name, answer)
        median = lambda turns: {"median": statistics.median(sum(turns, [])), "turns": turns}
        figures = {
            question: {name: median(turns) for name, turns in by.items()} for question, by in asked.items()
        }
        figures["three"]["alone"] = {part: median(turns) for part, turns in alone.items()}
        for engine in engines.values():
            self.stop(engine)
        figures["answers"] = {question: answer for question, (_, answer) in answers.items()}
        return figures

    def ask_in_turns(self, asks, runs):
        """Asks each once to warm up, then all in turns, each several times in all: as often as in earlier rounds, if there were any.
        What is compared is so asked within moments, whatever the machine does besides. Adds a list of seconds for each turn."""
        ask = lambda engine, question: engine("ask", question=question, threads=self.threads)
        answers = []
        for engine, question, _ in asks:
            first = ask(engine, question)
            usual = LONG_RUNS if first["seconds"] > LONG else MOST_RUNS if first["seconds"] < SHORT else RUNS
            runs.setdefault((engine.name, question), usual)
            answers.append((engine, question, first["answer"]))
        for turn in range(TURNS):
            for (engine, question, seconds), (*_, answer) in zip(asks, answers):
                share = lambda turns: runs[engine.name, question] * turns // TURNS
                taken = []
                for _ in range(share(turn + 1) - share(turn)):
                    again = ask(engine, question)
                    compare(f"{question}, asked twice", engine.name, answer, engine.name, again["answer"])
                    taken.append(again["seconds"])
                seconds.append(taken)
        return answers

    def check(self, answers, question, name, answer):
        if question == "three":
            for part, one in zip(THREE, answer):
                self.check(answers, part, f"{name}, three in one scan", one)
            return
        before, known = answers.setdefault(question, (name, answer))
        compare(question, before, known, name, answer)

    def look_ups(self):
        """Looks up single customers, the same for all engines."""
        chosen = random.Random(1).choices(range(self.about["customers"]), k=max(LOOK_UPS.values()))
        figures, known = {}, None
        for name in self.in_text:
            self.say("looking customers up in", name)
            engine, _ = self.open(name)
            found = engine("look_up", customers=chosen[: LOOK_UPS[name]])
            self.stop(engine)
            known = known or found["answer"]
            both = min(len(known), len(found["answer"]))
            compare("customers looked up", self.engines[0], known[:both], name, found["answer"][:both])
            sorted_seconds = sorted(found["seconds"])
            figures[name] = {
                "look_ups": len(sorted_seconds),
                "median": statistics.median(sorted_seconds),
                "p99": sorted_seconds[len(sorted_seconds) * 99 // 100],
            }
        return figures

    def memory(self):
        """Resident memory of an open store, and what each question takes beyond it at its peak."""
        figures = {}
        for name in self.in_text:
            self.say("memory of", name)
            engine, _ = self.open(name)
            time.sleep(TO_REST)
            opened, peaks = engine.memory()["now"], {}
            for question in QUESTIONS:
                # Slower forms of a question would only make a peer look worse.
                if self.asks(name, question) and question not in SAME_ANSWER:
                    machine.forget_peak(engine.process.pid)
                    engine("ask", question=question, threads=self.threads)
                    peaks[question] = engine.memory()["peak"] - opened
            figures[name] = {"open": opened, "asked": engine.memory()["now"], "peaks_beyond_open": peaks}
            self.stop(engine)
        return figures

    def cold(self):
        """Opens, and asks a first question, with nothing of the store in the page cache. The program itself is warm:
        it has asked the same of a small store before."""
        small = self.folder / "small.bin"
        subprocess.run([self.program, "world", "10000", small], check=True)
        figures = {}
        for name in self.in_text:
            if not self.asks(name, "funnel"):
                continue
            self.say("asking", name, "with a cold cache")
            runs = []
            for _ in range(COLD_RUNS):
                engine, folder = self.start(name), self.fresh(f"{name}-small")
                engine("load", world=str(small), folder=folder, batch=BATCH)
                engine("ask", question="funnel", threads=self.threads)
                engine("close")
                how = machine.forget(self.folder / name)
                opened = engine("open", folder=str(self.folder / name))
                first, *warm = (
                    engine("ask", question="funnel", threads=self.threads)["seconds"] for _ in range(2 + WARM_RUNS)
                )
                warm = statistics.median(warm[1:])
                runs.append({"open": opened["seconds"], "ask": first, "warm": warm, "ratio": first / warm})
                self.stop(engine)
                shutil.rmtree(folder)
            medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            figures[name] = {"how": how, **medians, "runs": runs}
        return figures

    def appends(self):
        """Appends single events, each synced, from one thread and from eight, to fresh stores; in rounds."""
        figures = {}
        engines = [name for name in ("journeylog", "sqlite") if name in self.engines]
        for _ in range(APPEND_ROUNDS):
            for threads, each in APPENDS.items():
                for name in engines:
                    self.say("appending to", name, "by", threads, "threads" if threads > 1 else "thread")
                    engine, folder = self.start(name), self.fresh(f"{name}-appends")
                    world = str(self.world)
                    done = engine("appends", world=world, folder=folder, threads=threads, each=each)
                    self.running.remove(engine)
                    engine.end()
                    shutil.rmtree(folder)
                    turns = figures.setdefault(str(threads), {}).setdefault(name, {"turns": []})["turns"]
                    turns.append([done["seconds"] / done["appends"]])
        for of_threads in figures.values():
            for figure in of_threads.values():
                figure["median"] = statistics.median(sum(figure["turns"], []))
        return figures
