//! A follower's stream of AppendEntries, one request after another.
//!
//! As openraft's own, but for one thing: a request without entries, which only says how far the leader has committed,
//! waits a moment for one with entries, which says it, too. Under load that is half of all messages (OPENRAFT.md).
//! Nobody waits for a follower to apply, so nobody sees the moment.

use super::network::CopyClient;
use super::types::GroupTypes;
use futures::{Stream, StreamExt};
use openraft::errors::RPCError;
use openraft::network::{RPCOption, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};
use openraft::{AsyncRuntime, OptionalSend};
use std::time::Duration;

/// How long a request without entries waits.
const PATIENCE: Duration = Duration::from_millis(5);

/// Answers of the follower, in the order of the requests; a request that another one took along has none of its own.
pub(super) fn run<'s, RT, S>(
    client: &'s mut CopyClient<RT>,
    input: S,
    option: RPCOption,
) -> impl Stream<Item = Result<StreamAppendResult<GroupTypes<RT>>, RPCError<GroupTypes<RT>>>> + OptionalSend + 's
where
    RT: AsyncRuntime,
    S: Stream<Item = AppendEntriesRequest<GroupTypes<RT>>> + OptionalSend + Unpin + 'static,
{
    futures::stream::unfold(Some((client, input)), move |state| {
        let option = option.clone();
        async move {
            let (client, mut input) = state?;
            let (request, ended) = next::<RT, S>(&mut input).await?;
            let prev = request.prev_log_id;
            let last = request.entries.last().map(|entry| entry.log_id).or(prev);
            match client.append_entries(request, option).await {
                Ok(response) => {
                    // What was taken in part only ends the stream; the rest is sent anew.
                    let whole = !matches!(&response, AppendEntriesResponse::PartialSuccess(upto) if *upto != last);
                    let result = response.into_stream_result(prev, last);
                    let goes_on = whole && !ended && result.is_ok();
                    Some((Ok(result), goes_on.then_some((client, input))))
                }
                Err(error) => Some((Err(error), None)),
            }
        }
    })
}

/// The next request that is to be sent, and whether the stream has ended after it.
async fn next<RT, S>(input: &mut S) -> Option<(AppendEntriesRequest<GroupTypes<RT>>, bool)>
where
    RT: AsyncRuntime,
    S: Stream<Item = AppendEntriesRequest<GroupTypes<RT>>> + OptionalSend + Unpin,
{
    let mut request = input.next().await?;
    while request.entries.is_empty() {
        match RT::timeout(PATIENCE, input.next()).await {
            // It continues where the one without entries stood, and commits no less.
            Ok(Some(later)) => request = later,
            Ok(None) => return Some((request, true)),
            Err(_) => break,
        }
    }
    Some((request, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::BeatRuntime;
    use crate::raft::types::{Entry, LeaderId, LogId, Payload, Vote};
    use futures::channel::mpsc;

    type Request = AppendEntriesRequest<GroupTypes<BeatRuntime>>;

    fn request(committed: u64, entries: &[u64]) -> Request {
        let leader_id = LeaderId { term: 1, node_id: 1 };
        let id = |index| LogId { leader_id, index };
        let entries = entries.iter().map(|index| Entry { log_id: id(*index), payload: Payload::Blank }).collect();
        let vote = Vote { leader_id, committed: true };
        AppendEntriesRequest { vote, prev_log_id: Some(id(1)), leader_commit: Some(id(committed)), entries }
    }

    async fn take(input: &mut mpsc::UnboundedReceiver<Request>) -> Option<(u64, usize, bool)> {
        let (request, ended) = next::<BeatRuntime, _>(input).await?;
        Some((request.leader_commit.map_or(0, |id| id.index), request.entries.len(), ended))
    }

    #[tokio::test]
    async fn a_request_without_entries_goes_with_the_next_or_after_a_moment() {
        let (sender, mut input) = mpsc::unbounded();
        let send = |request| sender.unbounded_send(request).unwrap();
        send(request(1, &[]));
        send(request(2, &[]));
        send(request(3, &[2, 3]));
        send(request(4, &[4]));
        send(request(5, &[]));
        assert_eq!(take(&mut input).await, Some((3, 2, false)));
        assert_eq!(take(&mut input).await, Some((4, 1, false)));
        let before = tokio::time::Instant::now();
        assert_eq!(take(&mut input).await, Some((5, 0, false)));
        assert!(before.elapsed() >= PATIENCE);
        send(request(6, &[]));
        drop(sender);
        assert_eq!(take(&mut input).await, Some((6, 0, true)));
        assert_eq!(take(&mut input).await, None);
    }
}
