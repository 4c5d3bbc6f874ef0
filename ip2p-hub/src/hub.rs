//! From a model's name to a folder in the cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Precision, Result, WeightsVariant};

use crate::cache::{Cache, files, length};
use crate::client::{Client, Failure, Idle};
use crate::explain::explain;
use crate::id::{ModelId, is_commit};
use crate::listing::{Listing, address};
use crate::options::HubOptions;
use crate::select::{MODEL_INDEX, Needed, no_pipeline, serving, variants};
use crate::transfer::{HubProgress, Problem, Wanted, Watch};

/// The hub, and the cache that keeps what came from it.
pub struct Hub {
    client: Client,
    cache: Cache,
}

/// A revision of a model in the cache: its configs are there, its weights by [`Hub::fetch_weights`].
#[derive(Debug)]
pub struct Snapshot {
    id: ModelId,
    commit: String,
    folder: PathBuf,
    note: Option<String>,
    weights: Vec<Wanted>,
}

impl Snapshot {
    /// Its folder, in diffusers' layout.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit.
    #[must_use]
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// A name for just these files, wherever they lie: `ORG/NAME@COMMIT`.
    #[must_use]
    pub fn name(&self) -> String {
        self.id.at(&self.commit).to_string()
    }

    /// Why the hub gave no answer, where the revision in the cache was taken instead: something to tell the user.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The bytes of weights that are still to be fetched, as far as the hub tells.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        let missing = self.weights.iter().filter(|wanted| !wanted.is_there());
        missing.filter_map(|wanted| wanted.bytes).sum()
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("options", self.client.options())
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub, of which nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the endpoint, the token or the proxy cannot be what they are said to be.
    pub fn new(options: HubOptions) -> Result<Self> {
        let cache = Cache::new(&options.cache);
        Ok(Self {
            client: Client::new(options)?,
            cache,
        })
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Finds a revision of a model and fetches its configs and its tokenizer, a few megabytes: what the model is can be known
    /// before its weights are fetched.
    ///
    /// A commit that is in the cache, and anything where the hub is offline, is used without a request. Otherwise the hub
    /// is asked which commit the revision is; if it does not answer, or refuses, what the cache has is used, and
    /// [`Snapshot::note`] says so. Weights are those that serve `precision`; the smallest of them, unless others are in the
    /// cache already.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] if there is no such model or revision, none that this token may have, no way to the hub, or if what is
    /// there is no folder in diffusers' layout; [`Error::Io`] if the cache cannot be written, [`Error::Stopped`]
    /// if `watch` broke.
    pub fn snapshot(
        &self,
        id: &ModelId,
        precision: Precision,
        watch: Watch<'_>,
    ) -> Result<Snapshot> {
        let cached = self.cache.commit(id)?;
        let has = |sets: &[WeightsVariant]| match &cached {
            Some(commit) => Ok::<_, Error>(self.at_hand(id, commit, sets)?.is_some()),
            None => Ok(false),
        };
        let any = has(&[WeightsVariant::Full, WeightsVariant::Fp16])?;
        let cached = cached.as_deref().unwrap_or_default();
        if self.client.options().offline {
            return if any {
                Ok(self.in_cache(id, cached, None))
            } else {
                Err(self.not_in_cache(id))
            };
        }
        if is_commit(id.revision()) && has(serving(precision))? {
            return Ok(self.in_cache(id, cached, None));
        }
        // Who has the model already does not wait long for news of it.
        let retries = if any {
            0
        } else {
            self.client.options().retries
        };
        let at = HubProgress {
            file: MODEL_INDEX,
            done_bytes: 0,
            total_bytes: 0,
        };
        match Listing::ask(&self.client, id, retries, &mut || watch(&at)) {
            Ok(listing) => self.fetch_configs(id, &listing, precision, watch),
            Err(Failure::Stopped) => Err(Error::Stopped),
            Err(failure) if any => {
                let (reason, _) = explain(&self.client, id, &failure);
                Ok(self.in_cache(id, cached, Some(reason)))
            }
            Err(failure) => Err(self.error(id, &failure)),
        }
    }

    /// Fetches the weights that are not in the cache yet; what was cut off is gone on with. Then the revision counts as
    /// being in the cache.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] if they cannot be had, arrive damaged, or find no room; [`Error::Stopped`] if `watch` broke. What has
    /// arrived is kept, and the next call goes on with it.
    pub fn fetch_weights(&self, snapshot: &Snapshot, watch: Watch<'_>) -> Result<()> {
        self.fetch(&snapshot.id, &snapshot.weights, watch)?;
        self.cache.remember(&snapshot.id, &snapshot.commit)
    }

    /// A commit that is whole in the cache.
    fn in_cache(&self, id: &ModelId, commit: &str, note: Option<String>) -> Snapshot {
        Snapshot {
            folder: self.cache.snapshot(id, commit),
            id: id.clone(),
            commit: commit.to_owned(),
            weights: Vec::new(),
            note,
        }
    }

    /// The weights of a commit that are in the cache, if they are all that is needed: in each part one of these sets.
    fn at_hand(
        &self,
        id: &ModelId,
        commit: &str,
        sets: &[WeightsVariant],
    ) -> Result<Option<Vec<String>>> {
        let folder = self.cache.snapshot(id, commit);
        let Ok(index) = fs::read_to_string(folder.join(MODEL_INDEX)) else {
            return Ok(None);
        };
        let paths = files(&folder)?;
        // A link that leads nowhere is no file.
        let names = paths.iter().filter(|path| path.is_file());
        let names = names.filter_map(|path| path.strip_prefix(&folder).ok()?.to_str());
        let names: Vec<_> = names.map(|name| name.replace('\\', "/")).collect();
        let names = names.iter().map(String::as_str).collect();
        // Weights are fetched last: where they are, the rest is.
        let needed = Needed::choose(&names, &index, sets).ok();
        Ok(needed
            .map(|needed| needed.weights)
            .filter(|weights| !weights.is_empty()))
    }

    fn fetch_configs(
        &self,
        id: &ModelId,
        listing: &Listing,
        precision: Precision,
        watch: Watch<'_>,
    ) -> Result<Snapshot> {
        let names: BTreeSet<_> = listing.files.keys().map(String::as_str).collect();
        if !names.contains(MODEL_INDEX) {
            return Err(Error::hub(id, no_pipeline(&names)));
        }
        let index = self.want(id, listing, MODEL_INDEX, watch)?;
        self.fetch(id, std::slice::from_ref(&index), watch)?;
        let text =
            fs::read_to_string(&index.pointer).map_err(|error| Error::io(&index.pointer, error))?;
        let needed = Needed::choose(&names, &text, &variants(precision));
        let mut needed = needed.map_err(|reason| Error::hub(id, reason))?;
        needed.small.retain(|name| name != MODEL_INDEX);
        let small = self.want_all(id, listing, &needed.small, watch)?;
        self.fetch(id, &small, watch)?;
        // A larger set that is there already is smaller than one that is yet to come.
        let at_hand = self.at_hand(id, &listing.commit, serving(precision))?;
        if let Some(weights) = at_hand.filter(|all| all.iter().all(|name| names.contains(&**name)))
        {
            needed.weights = weights;
        }
        Ok(Snapshot {
            folder: self.cache.snapshot(id, &listing.commit),
            weights: self.want_all(id, listing, &needed.weights, watch)?,
            id: id.clone(),
            commit: listing.commit.clone(),
            note: None,
        })
    }

    fn want_all(
        &self,
        id: &ModelId,
        listing: &Listing,
        names: &[String],
        watch: Watch<'_>,
    ) -> Result<Vec<Wanted>> {
        let wanted = names.iter().map(|name| self.want(id, listing, name, watch));
        wanted.collect()
    }

    fn want(
        &self,
        id: &ModelId,
        listing: &Listing,
        name: &str,
        watch: Watch<'_>,
    ) -> Result<Wanted> {
        let idle: Idle<'_> = &mut || {
            watch(&HubProgress {
                file: name,
                done_bytes: 0,
                total_bytes: 0,
            })
        };
        let described = listing.described(&self.client, id, name, idle);
        let (etag, bytes) = described.map_err(|failure| self.error(id, &failure))?;
        Ok(Wanted {
            url: address(&self.client, id, &listing.commit, name),
            blob: self.cache.blob(id, &etag),
            lock: self.cache.locks(id).join(format!("{etag}.lock")),
            pointer: self.cache.snapshot(id, &listing.commit).join(name),
            name: name.to_owned(),
            etag,
            bytes,
        })
    }

    fn fetch(&self, id: &ModelId, files: &[Wanted], watch: Watch<'_>) -> Result<()> {
        let total_bytes = files.iter().filter_map(|wanted| wanted.bytes).sum();
        let mut before = 0;
        for wanted in files {
            let mut heard = |arrived| {
                watch(&HubProgress {
                    file: &wanted.name,
                    done_bytes: before + arrived,
                    total_bytes,
                })
            };
            wanted
                .fetch(&self.client, &mut heard)
                .map_err(|problem| match problem {
                    Problem::Hub(failure) => self.error(id, &failure),
                    Problem::Said(reason) => Error::hub(id, reason),
                    Problem::Other(error) => error,
                })?;
            before += length(&wanted.pointer);
        }
        Ok(())
    }

    fn error(&self, id: &ModelId, failure: &Failure) -> Error {
        match failure {
            Failure::Stopped => Error::Stopped,
            failure => {
                let (what, advice) = explain(&self.client, id, failure);
                Error::hub(id, format!("{what}; {advice}"))
            }
        }
    }

    fn not_in_cache(&self, id: &ModelId) -> Error {
        let folder = self.cache.folder().display();
        let reason = match self.cache.find(id) {
            Ok(Some(_)) => "is not whole in the cache",
            _ => "is not in the cache",
        };
        let reason = format!(
            "{reason} {folder}, and the network is not to be used (HF_HUB_OFFLINE, --offline)"
        );
        Error::hub(id, reason)
    }
}
