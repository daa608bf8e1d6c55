"""Long work that somebody asked for: one after the other, each with a document that says how far it is.

Jobs run in the process that took them. One whose process has ended is told to be interrupted: what it had not
published is not there, and it may be started again.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from jingzhe.app import privacy_jobs
from jingzhe.app.workspace import Workspace
from jingzhe.core import failures
from jingzhe.core.errors import BusyError, JingzheError, NoDataError, SettingError
from jingzhe.core.log import Log, log_to_stderr
from jingzhe.core.tracing import span
from jingzhe.store.state import Document
from jingzhe.store.state.processes import Process, is_gone, this_process

JobKind = Literal["update", "train", "backtest", "report", "person_export", "erasure"]
Status = Literal["waiting", "running", "done", "failed", "interrupted"]
KINDS: tuple[JobKind, ...] = get_args(JobKind)
KIND = "job"
_KEPT = 200
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Job:
    """One piece of long work.

    Args:
        job_id: its name.
        kind: what is done.
        status: how far it is.
        asked_at: when it was asked for.
        stage: what is being done just now, for people.
        done_at: when it ended.
        result: what came out.
        problem: code of what went wrong, and the sentence for people.
        options: what was asked for.
    """

    job_id: str
    kind: JobKind
    status: Status
    asked_at: datetime
    stage: str = ""
    done_at: datetime | None = None
    result: Mapping[str, Any] | None = field(default=None, hash=False)
    problem: Mapping[str, str] | None = field(default=None, hash=False)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


class _EndedError(Exception):
    """The process is ending: the job under way stops where its next stage would begin."""


class Jobs:
    """The jobs of a project; may be used from several threads. Close it.

    Args:
        workspace: of the project.
        log: is told what nobody foresaw; None: JSON lines on standard error.
    """

    def __init__(self, workspace: Workspace, log: Log | None = None) -> None:
        self._workspace = workspace
        self._log = log or log_to_stderr()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jingzhe-job")
        self._lock = threading.Lock()
        self._stages: dict[str, str] = {}
        self._open: dict[str, Job] = {}
        self._unwritten: dict[str, Job] = {}
        """How jobs ended whose record could not be written; written as soon as the store takes it."""
        self._ending = threading.Event()
        self._process = asdict(this_process())

    def close(self) -> None:
        """Ends the job under way where its next stage would begin, and waits for that; the others are not begun.

        Both are interrupted then: what they had not published is not there, and they may be started again.
        """
        self._ending.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for job in list(self._open.values()):
            self._end(replace(job, status="interrupted", done_at=self._now()))
        self._open.clear()
        self._write_ends()

    @property
    def report_path(self) -> Path:
        """Returns where the report that was made last stands."""
        return Path(self._workspace.settings.home) / "reports" / REPORT_FILE

    def start(self, kind: str, options: Mapping[str, Any] | None = None) -> Job:
        """Asks for a job.

        Args:
            kind: one of :data:`KINDS`.
            options: ``cut`` (YYYY-MM-DD) and ``horizon_days`` of a backtest, ``horizon_days`` of a training.

        Raises:
            BusyError: the process is ending.
            SettingError: there is no such kind, or an option is missing or cannot be used.
        """
        work = self._work(kind, dict(options or {}))
        made = Job(f"job_{uuid.uuid4().hex[:12]}", _kind(kind), "waiting", self._now(), options=dict(options or {}))
        if self._ending.is_set():
            raise BusyError("The server is ending", hint="Ask again in a moment.")
        self._write_ends()
        self._write(made)
        self._open[made.job_id] = made
        self._pool.submit(self._run, made, work)
        self._trim()
        return made

    def get(self, job_id: str) -> Job:
        """Returns a job.

        Raises:
            NoDataError: there is none of that name.
        """
        document = self._workspace.warehouse.state.document(KIND, job_id)
        if document is None:
            raise NoDataError("There is no such job", hint="Only the latest are kept.", job=job_id)
        return self._job(document)

    def all(self) -> list[Job]:
        """Returns the jobs that are kept, the latest first."""
        found = [self._job(document) for document in self._workspace.warehouse.state.documents(KIND)]
        return sorted(found, key=lambda job: (job.asked_at, job.job_id), reverse=True)

    def latest(self, kind: JobKind) -> Job | None:
        """Returns the job of a kind that ended well last."""
        return next((job for job in self.all() if job.kind == kind and job.status == "done"), None)

    def _now(self) -> datetime:
        return self._workspace.warehouse.clock.now()

    def _work(self, kind: str, options: dict[str, Any]) -> Callable[[Workspace], dict[str, Any]]:
        horizon = options.get("horizon_days")
        if kind == "update":
            return lambda workspace: {"as_of": workspace.update(horizon_days=horizon).isoformat()}
        if kind == "train":
            return lambda workspace: {"as_of": workspace.train(horizon_days=horizon).as_of.isoformat()}
        if kind == "backtest":
            if options.get("cut") is None:
                raise SettingError("A backtest needs a cut: the last day that the models see", option="cut")
            cut = date.fromisoformat(str(options["cut"]))
            return lambda workspace: dict(workspace.backtest(cut, horizon).to_dict())
        if kind == "report":
            return self._report
        if kind == "person_export":
            return partial(privacy_jobs.export, int(options["person_id"]), options["name"])
        if kind == "erasure":
            return partial(privacy_jobs.erase, str(options["erasure_id"]))
        raise SettingError(f"There is no job {kind!r}", hint=f"Jobs: {', '.join(KINDS)}.", option="kind")

    def _report(self, workspace: Workspace) -> dict[str, Any]:
        written = workspace.report(self.report_path)
        return {"headlines": [{"en": line.en, "zh": line.zh} for line in written.headlines]}

    def _run(self, job: Job, work: Callable[[Workspace], dict[str, Any]]) -> None:
        heard = _Stages(self._stages, job.job_id, self._ending)
        try:
            self._write(replace(job, status="running"))
            with span(f"jingzhe.job {job.kind}"):
                result = work(replace(self._workspace, progress=heard))
            ended = replace(job, status="done", done_at=self._now(), result=result)
        except _EndedError:
            ended = replace(job, status="interrupted", done_at=self._now())
        except JingzheError as error:
            told = {"code": error.code, "detail": error.message, "hint": error.hint}
            ended = replace(job, status="failed", done_at=self._now(), problem=told)
        except Exception as error:  # noqa: BLE001 - nobody waits for it: the record and the log are where it is told
            # The message is not told: nobody knows what it holds.
            self._log.error("a job failed", job=job.job_id, kind=job.kind, error=failures.told(error))
            told = {"code": "internal", "detail": "Something is wrong on this side", "hint": "Tell a keeper."}
            ended = replace(job, status="failed", done_at=self._now(), problem=told)
        with self._lock:
            self._stages.pop(job.job_id, None)
            self._open.pop(job.job_id, None)
        self._end(ended)

    def _end(self, job: Job) -> None:
        self._unwritten[job.job_id] = job
        self._write_ends()

    def _write_ends(self) -> None:
        """Writes how jobs ended; where the store does not take it, it is tried again with the next job."""
        for job in list(self._unwritten.values()):
            try:
                self._write(job)
            except Exception as error:  # noqa: BLE001 - the work has ended however it did
                self._log.error("the end of a job is not written yet", job=job.job_id, error=failures.told(error))
            else:
                self._unwritten.pop(job.job_id, None)

    def _write(self, job: Job) -> None:
        body = asdict(job) | {"process": self._process}
        for name in ("asked_at", "done_at"):
            body[name] = body[name].isoformat() if body[name] else None
        self._workspace.warehouse.state.put_document(KIND, job.job_id, body)

    def _job(self, document: Document) -> Job:
        body = dict(document.body)
        process = Process(**body.pop("process"))
        for name in ("asked_at", "done_at"):
            body[name] = datetime.fromisoformat(body[name]) if body[name] else None
        job = Job(**body)
        if job.job_id in self._unwritten:
            return self._unwritten[job.job_id]
        if job.status in {"waiting", "running"} and is_gone(process):
            return replace(job, status="interrupted")
        return replace(job, stage=self._stages.get(job.job_id, ""))

    def _trim(self) -> None:
        for job in self.all()[_KEPT:]:
            if job.status not in {"waiting", "running"}:
                self._workspace.warehouse.state.drop_document(KIND, job.job_id)


def _kind(name: str) -> JobKind:
    for kind in KINDS:
        if kind == name:
            return kind
    raise SettingError(f"There is no job {name!r}", hint=f"Jobs: {', '.join(KINDS)}.", option="kind")


@dataclass(frozen=True)
class _Stages:
    """Hears what a job is doing."""

    stages: dict[str, str]
    job_id: str
    ending: threading.Event

    def stage(self, name: str, total: int | None = None, unit: str = "rows") -> None:
        """Notes the stage, or ends the job."""
        del total, unit
        if self.ending.is_set():
            raise _EndedError
        self.stages[self.job_id] = name

    def advance(self, done: int) -> None:
        """Hears how much is done."""
