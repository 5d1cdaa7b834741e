"""The RPCs of the history: convert, call, convert."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc.aio

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.dataset.v1 import history_pb2, history_pb2_grpc
from headwater.names import BranchName, DatasetName, TagName
from services.dataset.changes import convert as changes_convert
from services.dataset.changes.changes import Changes, MergeRequest
from services.dataset.history import convert
from services.dataset.history.history import History
from services.dataset.model import SemVer

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_DIFF_ROWS = 1000


class DatasetHistoryServicer(history_pb2_grpc.DatasetHistoryServiceServicer):
    """``headwater.dataset.v1.DatasetHistoryService``; the protos say what each method does."""

    def __init__(self, history: History, changes: Changes) -> None:
        self._history = history
        self._changes = changes

    async def GetCommit(self, request: history_pb2.GetCommitRequest, context: Context) -> history_pb2.Commit:
        return convert.commit_to_proto(await self._history.get_commit(request.name))

    async def ListCommits(
        self, request: history_pb2.ListCommitsRequest, context: Context
    ) -> history_pb2.ListCommitsResponse:
        dataset = DatasetName.parse(request.parent, "parent")
        page = await self._history.list_commits(dataset, request.start, request.page_size, request.page_token)
        return history_pb2.ListCommitsResponse(
            commits=[convert.commit_to_proto(commit) for commit in page.items], next_page_token=page.next_page_token
        )

    async def CreateBranch(self, request: history_pb2.CreateBranchRequest, context: Context) -> history_pb2.Branch:
        dataset = DatasetName.parse(request.parent, "parent")
        branch = await self._history.create_branch(
            BranchName(dataset.project, dataset.dataset, request.branch_id),
            request.commit,
            author=current_principal().subject,
            request_id=request.request_id,
            body=body_digest(request),
        )
        return convert.branch_to_proto(branch)

    async def GetBranch(self, request: history_pb2.GetBranchRequest, context: Context) -> history_pb2.Branch:
        return convert.branch_to_proto(await self._history.get_branch(BranchName.parse(request.name)))

    async def ListBranches(
        self, request: history_pb2.ListBranchesRequest, context: Context
    ) -> history_pb2.ListBranchesResponse:
        dataset = DatasetName.parse(request.parent, "parent")
        page = await self._history.list_branches(dataset, request.page_size, request.page_token)
        return history_pb2.ListBranchesResponse(
            branches=[convert.branch_to_proto(branch) for branch in page.items], next_page_token=page.next_page_token
        )

    async def ResetBranch(self, request: history_pb2.ResetBranchRequest, context: Context) -> history_pb2.Branch:
        name = BranchName.parse(request.name)
        return convert.branch_to_proto(await self._history.reset_branch(name, request.commit, request.etag))

    async def DeleteBranch(
        self, request: history_pb2.DeleteBranchRequest, context: Context
    ) -> history_pb2.DeleteBranchResponse:
        await self._history.delete_branch(BranchName.parse(request.name), request.etag)
        return history_pb2.DeleteBranchResponse()

    async def CreateTag(self, request: history_pb2.CreateTagRequest, context: Context) -> history_pb2.Tag:
        dataset = DatasetName.parse(request.parent, "parent")
        tag = await self._history.create_tag(
            TagName(dataset.project, dataset.dataset, request.tag_id),
            request.commit,
            request.message,
            author=current_principal().subject,
            request_id=request.request_id,
            body=body_digest(request),
        )
        return convert.tag_to_proto(tag)

    async def GetTag(self, request: history_pb2.GetTagRequest, context: Context) -> history_pb2.Tag:
        return convert.tag_to_proto(await self._history.get_tag(TagName.parse(request.name)))

    async def ListTags(self, request: history_pb2.ListTagsRequest, context: Context) -> history_pb2.ListTagsResponse:
        dataset = DatasetName.parse(request.parent, "parent")
        page = await self._history.list_tags(dataset, request.page_size, request.page_token)
        return history_pb2.ListTagsResponse(
            tags=[convert.tag_to_proto(tag) for tag in page.items], next_page_token=page.next_page_token
        )

    async def DeleteTag(self, request: history_pb2.DeleteTagRequest, context: Context) -> history_pb2.DeleteTagResponse:
        await self._history.delete_tag(TagName.parse(request.name))
        return history_pb2.DeleteTagResponse()

    async def DiffCommits(
        self, request: history_pb2.DiffCommitsRequest, context: Context
    ) -> AsyncIterator[history_pb2.DiffCommitsResponse]:
        rows = request.max_rows or _DIFF_ROWS
        diff = self._changes.diff(request.base, request.target, request.split, rows, tuple(request.key_columns))
        async with contextlib.aclosing(diff):  # as soon as the client goes away
            async for part in diff:
                yield changes_convert.diff_to_proto(part)

    async def MergeBranch(
        self, request: history_pb2.MergeBranchRequest, context: Context
    ) -> history_pb2.MergeBranchResponse:
        return changes_convert.merged_to_proto(await self._changes.merge(_merge_request(request, request.source)))

    async def RevertCommit(
        self, request: history_pb2.RevertCommitRequest, context: Context
    ) -> history_pb2.MergeBranchResponse:
        return changes_convert.merged_to_proto(await self._changes.revert(_merge_request(request, request.commit)))


def _merge_request(
    request: history_pb2.MergeBranchRequest | history_pb2.RevertCommitRequest, source: str
) -> MergeRequest:
    return MergeRequest(
        BranchName.parse(request.name),
        source,
        request.message,
        SemVer.parse(request.version) if request.version else None,
        current_principal().subject,
        request.request_id,
        body_digest(request),
    )
