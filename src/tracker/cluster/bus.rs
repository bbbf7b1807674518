// SPDX-License-Identifier: MPL-2.0

//! How messages and samples travel: over Redis or Valkey, version 7 or later.
//!
//! - `PREFIX:inbox:NODE` is a node's channel, for messages; `PREFIX:nodes` is everybody's, for signs
//!   of life. Both are of the sharded kind (`SPUBLISH`), which also a single Redis knows, and which a
//!   Redis Cluster does not repeat to all of its nodes.
//! - `PREFIX:{GROUP}:NODE` is what a node says about a group of viewers; it expires by itself. The
//!   braces keep what all nodes say about one group on one node of a Redis Cluster.
//!
//! Redis holds nothing that would be missed. While it is away, each node goes on with its own viewers,
//! and what cannot be delivered waits in the [`Mailbox`](super::mailbox::Mailbox).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisResult,
    Value, cmd,
};
use sha1::{Digest, Sha1};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::config::ClusterConfig;
use super::mailbox::Letter;
use super::message::{Envelope, NodeId, Sample, read, write};
use crate::swarm::ids::InfoHash;
use crate::tracker::place::Group;
use crate::tracker::shared::Shared;

/// Time between signs of life, and between looks at what others have.
const ROUND: Duration = Duration::from_secs(1);
/// Time before another attempt to reach Redis.
const RETRY: Duration = Duration::from_secs(1);
/// Time that Redis has to answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Groups told and looked up in a round.
const GROUPS: usize = 512;
/// Time for which what a node says about a group is worth something, in seconds.
const SAMPLE_SECONDS: u64 = 30;
/// Time for which messages are kept for a node that is not heard of.
const PATIENCE: Duration = Duration::from_secs(60);
/// Commands under way.
const PARALLEL: usize = 64;
/// Letters taken at a time.
const LETTERS: usize = 256;

/// Keeps the node in touch with the others, until it is dropped.
pub(in crate::tracker) async fn run(shared: Arc<Shared>, config: ClusterConfig, me: NodeId) {
    let mut away = false;
    loop {
        let Err(error) = session(&shared, &config, me, &mut away).await;
        shared.set_degraded(true);
        if !away {
            warn!(%error, "Redis is away; viewers of this node meet each other only");
            away = true;
        }
        sleep(RETRY).await;
    }
}

/// From a connection to its end.
async fn session(
    shared: &Arc<Shared>,
    config: &ClusterConfig,
    me: NodeId,
    away: &mut bool,
) -> RedisResult<std::convert::Infallible> {
    let names = Names { prefix: &config.prefix, me };
    let link = Link::open(config, hearing(shared.clone(), me)).await?;
    for channel in [names.inbox(me), names.nodes()] {
        link.clone().subscribe(channel).await?;
    }
    shared.set_degraded(false);
    info!(node = %me, again = *away, "in touch with Redis");
    *away = false;
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => round(shared, &link, &names).await?,
            () = shared.mailbox.filled() => {}
        }
        deliver(shared, &link, &names).await?;
    }
}

/// What keys and channels are called.
struct Names<'a> {
    prefix: &'a str,
    me: NodeId,
}

impl Names<'_> {
    fn inbox(&self, node: NodeId) -> String {
        format!("{}:inbox:{node}", self.prefix)
    }

    fn nodes(&self) -> String {
        format!("{}:nodes", self.prefix)
    }

    fn sample(&self, info_hash: &InfoHash, group: Group, node: NodeId) -> String {
        let mut hash = Sha1::new();
        hash.update(info_hash.as_bytes());
        hash.update(write(&group));
        let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}:{{{hash}}}:{node}", self.prefix)
    }
}

/// Hears what comes in by the node's channels. There is no queue: it is done at once.
fn hearing(shared: Arc<Shared>, me: NodeId) -> impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static {
    move |push| {
        if push.kind == PushKind::SMessage
            && let [_, Value::BulkString(bytes)] = push.data.as_slice()
        {
            if let Some(Envelope { from, message }) = read(bytes) {
                if from != me {
                    shared.hear(from, message);
                }
            } else if let Some(node) = read::<NodeId>(bytes)
                && node != me
            {
                shared.node_alive(node);
            }
        }
        Ok(())
    }
}

/// Says that this node lives and whom it has, and looks up what its viewers need.
async fn round(shared: &Shared, link: &Link, names: &Names<'_>) -> RedisResult<()> {
    publish(link, names.nodes(), write(&names.me)).await?;
    let samples = shared.take_samples(GROUPS).into_iter().map(|(info_hash, group, sample)| {
        let mut set = cmd("SET");
        set.arg(names.sample(&info_hash, group, names.me)).arg(write(&sample)).arg("EX").arg(SAMPLE_SECONDS);
        async move { link.clone().query::<()>(&set).await }
    });
    for told in stream::iter(samples).buffered(PARALLEL).collect::<Vec<_>>().await {
        told?;
    }

    let nodes = shared.nodes();
    if nodes.is_empty() {
        return Ok(());
    }
    let nodes = &nodes;
    let wishes = shared.take_wishes(GROUPS).into_iter().map(|(info_hash, group)| {
        let mut get = cmd("MGET");
        for node in nodes {
            get.arg(names.sample(&info_hash, group, *node));
        }
        async move { (info_hash, group, link.clone().query::<Vec<Option<Vec<u8>>>>(&get).await) }
    });
    let mut found = stream::iter(wishes).buffered(PARALLEL);
    while let Some((info_hash, group, samples)) = found.next().await {
        for (node, sample) in nodes.iter().zip(samples?) {
            let sample: Option<Sample> = sample.and_then(|sample| read(&sample));
            shared.take_in(*node, info_hash, group, sample);
        }
    }
    shared.meet_guests();
    Ok(())
}

/// Delivers what waits, and puts back what could not be.
async fn deliver(shared: &Shared, link: &Link, names: &Names<'_>) -> RedisResult<()> {
    let mut homeless = Vec::new();
    let outcome = loop {
        let letters = shared.mailbox.take(LETTERS, Instant::now());
        if letters.is_empty() {
            break Ok(());
        }
        let sending = letters.into_iter().map(|letter| async move {
            let Letter { to, message, .. } = &letter;
            let envelope = write(&Envelope { from: names.me, message: message.clone() });
            let delivered = publish(link, names.inbox(*to), envelope).await;
            (letter, delivered)
        });
        let mut failed = None;
        for (letter, delivered) in stream::iter(sending).buffered(PARALLEL).collect::<Vec<_>>().await {
            match delivered {
                Ok(true) => {}
                // Its node has yet to subscribe again, if it lives.
                Ok(false) => homeless.push(letter),
                Err(error) => {
                    homeless.push(letter);
                    failed = Some(error);
                }
            }
        }
        if let Some(error) = failed {
            break Err(error);
        }
    };
    if outcome.is_ok() {
        // Who has not been heard of may have lost Redis with us and come back a little later.
        let nodes = shared.nodes();
        homeless.retain(|letter| nodes.contains(&letter.to) || letter.written.elapsed() < PATIENCE);
    }
    shared.mailbox.put_back(homeless);
    outcome
}

/// Returns whether anybody heard it.
async fn publish(link: &Link, channel: String, bytes: Vec<u8>) -> RedisResult<bool> {
    let mut publish = cmd("SPUBLISH");
    publish.arg(channel).arg(bytes);
    Ok(link.clone().query::<u64>(&publish).await? > 0)
}

/// A connection to Redis or to a Redis Cluster.
#[derive(Clone)]
enum Link {
    Single(MultiplexedConnection),
    Sharded(ClusterConnection),
}

impl Link {
    async fn open(
        config: &ClusterConfig,
        hear: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> RedisResult<Self> {
        let urls = config.urls.iter().map(|url| {
            let info = url.as_str().into_connection_info()?;
            // Messages come in by the connection that commands go out by.
            let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            Ok(info.set_redis_settings(settings))
        });
        let mut urls: Vec<_> = urls.collect::<RedisResult<_>>()?;
        if config.sharded {
            let client = ClusterClient::builder(urls)
                .use_protocol(ProtocolVersion::RESP3)
                .connection_timeout(TIMEOUT)
                .response_timeout(TIMEOUT)
                .retries(2)
                .push_sender(hear)
                .build()?;
            return client.get_async_connection().await.map(Self::Sharded);
        }
        let url = urls.pop().ok_or((redis::ErrorKind::InvalidClientConfig, "no URL"))?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_push_sender(hear);
        Client::open(url)?.get_multiplexed_async_connection_with_config(&settings).await.map(Self::Single)
    }

    async fn subscribe(&mut self, channel: String) -> RedisResult<()> {
        match self {
            Self::Single(link) => cmd("SSUBSCRIBE").arg(channel).exec_async(link).await,
            // Subscribes again by itself when the channel moves.
            Self::Sharded(link) => link.ssubscribe(channel).await,
        }
    }

    async fn query<T: redis::FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let value = match self {
            Self::Single(link) => link.req_packed_command(command).await?,
            Self::Sharded(link) => link.req_packed_command(command).await?,
        };
        Ok(redis::from_redis_value(value.extract_error()?)?)
    }
}
