"""What producers and workers did and were told while everything around them broke, and what follows from it."""

import collections
import json
import threading

import task_invariants

PREFIX = "{rma}:"


class History:
    def __init__(self):
        self._lock = threading.Lock()
        self.submitted = {}  # task id -> its number, once a producer was told
        self.given = {}  # (task, seq) -> workers that were given that lease
        self.completed = {}  # (task, seq) -> how often a worker was told that it completed the task
        self.failed = {}  # (task, seq) -> likewise that it failed
        self.refused = set()  # (task, seq) that were told they had lost it

    def note_submitted(self, task, number):
        with self._lock:
            self.submitted[task] = number

    def note_given(self, task, seq, worker):
        with self._lock:
            self.given.setdefault((task, seq), set()).add(worker)

    def note(self, outcome, task, seq):
        with self._lock:
            if outcome == "refused":
                self.refused.add((task, seq))
            else:
                book = self.completed if outcome == "completed" else self.failed
                book[task, seq] = book.get((task, seq), 0) + 1

    def counts(self):
        return {"submitted": len(self.submitted), "leases": len(self.given), "completed": len(self.completed),
                "failed": len(self.failed),
                "refused": len(self.refused)}

    # -- proofs ---------------------------------------------------------------------------------------------------------------

    def faults(self, dump, now):
        """Everything that was promised and is not so; [] when all is well. To be called when nothing is live any more."""
        found = list(task_invariants.faults(dump, now))
        tasks = {task: fields for task, (fields, _) in task_invariants.tasks_of(dump).items()}
        for task, number in self.submitted.items():
            fields = tasks.get(task)
            if not fields:
                found.append(f"{task} was acknowledged and is gone")
            elif fields["state"] not in task_invariants.ENDED:
                found.append(f"{task} was acknowledged and is {fields['state']}")
            elif json.loads(fields["payload"])["number"] != number:
                found.append(f"{task} has another one's payload")
        for (task, seq), workers in self.given.items():
            if len(workers) > 1:
                found.append(f"lease {seq} of {task} was given to {workers}")
            if task in tasks and seq > int(tasks[task]["lease"].split(" ")[0]):
                found.append(f"lease {seq} of {task} was given, and the task knows only {tasks[task]['lease']}")
        ended_by = {}
        for task, seq in self.completed:
            ended_by.setdefault(task, set()).add(seq)
            fields = tasks.get(task, {})
            if fields.get("state") != "completed":
                found.append(f"{task} was completed by lease {seq} and is {fields.get('state')}")
            elif json.loads(fields["result"])["seq"] != seq:
                found.append(f"{task} was completed by lease {seq} and has the result {fields['result']}")
        found += [f"{task} was completed by several leases: {seqs}" for task, seqs in ended_by.items() if len(seqs) > 1]
        for task, seq in self.failed:
            if (task, seq) in self.completed:
                found.append(f"lease {seq} of {task} both failed and completed it")
        acknowledged = collections.Counter(task for task, _ in self.failed)
        for task, fields in tasks.items():
            if fields["state"] == "completed":
                seq, told = int(fields["lease"].split(" ")[0]), json.loads(fields["result"])["seq"]
                if seq != told:
                    found.append(f"{task} has the result of lease {told}, its last lease is {seq}")
            if int(fields.get("attempts", 0)) < acknowledged[task]:
                found.append(f"{task} has {fields.get('attempts', 0)} attempts, {acknowledged[task]} failures were acknowledged")
        return found
