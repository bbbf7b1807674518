// SPDX-License-Identifier: MPL-2.0

//! What the settings mean to the server.

use std::path::Path;
use std::time::Duration;

use super::Options;
use crate::tracker::cluster::config::ClusterConfig;
use crate::tracker::geo;
use crate::tracker::server::{AccessConfig, Config, Limits};
use crate::tracker::swarms::{LinkLimits, Settings};
use crate::tracker::tls::TlsFiles;

impl Options {
    /// What the server is to do.
    ///
    /// # Errors
    ///
    /// If the file with the secret cannot be read or holds less than a guess would find.
    pub fn config(&self) -> Result<Config, String> {
        let seconds = Duration::from_secs;
        let token_secret = self.token_secret.as_deref().map(read_secret).transpose()?;
        Ok(Config {
            swarms: Settings {
                interval: seconds(self.interval),
                medium_interval: seconds(self.medium_interval),
                short_interval: seconds(self.short_interval),
                few_links: self.few_links,
                links: LinkLimits {
                    target: self.links,
                    target_without_upload: self.links_without_upload,
                    most: self.links + self.spare_links,
                    near: self.near_links,
                    regional: self.regional_links,
                    far_at_once: self.far_at_once,
                    small_swarm: self.small_swarm,
                    patience: seconds(self.patience),
                    meet_again: seconds(self.meet_again),
                    ..LinkLimits::default()
                },
                bank_time: seconds(self.bank_time),
                bank_per_viewer: self.bank_offers,
                bank_bytes: self.bank_bytes,
                max_peers_per_connection: self.max_peers_per_connection,
                max_peers: self.max_peers,
            },
            limits: Limits {
                max_connections: self.max_connections,
                max_connections_per_address: match self.max_connections_per_address {
                    0 => u32::MAX,
                    most => most,
                },
                max_message_bytes: self.max_message_bytes,
                messages_per_second: self.messages_per_second,
                message_burst: self.message_burst,
                silence: seconds(self.silence),
            },
            geo: geo::Files { data: self.geo_data.clone(), sites: self.sites.clone() },
            same_isp: self.same_isp,
            access: AccessConfig {
                origins: (!self.origin.is_empty()).then(|| self.origin.clone()),
                swarms: self.swarms.clone(),
                token_secret,
            },
            tls: self
                .tls_certificate
                .clone()
                .zip(self.tls_key.clone())
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            trusted_proxies: self.trusted_proxy.clone(),
            reload_every: (self.reload > 0).then(|| seconds(self.reload)),
            drain: seconds(self.drain),
            cluster: (!self.redis.is_empty())
                .then(|| {
                    ClusterConfig::new(self.redis.clone(), self.redis_cluster, self.redis_prefix.clone())
                })
                .transpose()?,
        })
    }

    /// Threads that serve viewers, at least one.
    ///
    /// What a viewer wants is done within microseconds, so threads that share the work spend more on waking
    /// each other than they save. Handshakes of TLS take much longer.
    pub fn threads(&self) -> usize {
        match self.threads {
            0 if self.tls_certificate.is_some() => {
                std::thread::available_parallelism().map_or(1, usize::from)
            }
            0 => 1,
            threads => threads,
        }
    }
}

/// Shortest secret, in bytes: a shorter one could be found by trying (RFC 7518, section 3.2).
const MIN_SECRET: usize = 32;

fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |message: &dyn std::fmt::Display| format!("{}: {message}", path.display());
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let secret = text.trim_ascii_end();
    if secret.len() < MIN_SECRET {
        return Err(wrong(&format!("a secret has at least {MIN_SECRET} bytes")));
    }
    Ok(secret.to_vec())
}
