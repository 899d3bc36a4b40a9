//! ChannelService: connected accounts of messengers.

use std::{collections::HashMap, sync::Arc};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value as Json};
use tonic::{Request, Response, Status};

use super::exposure;
use crate::{
    auth::{Caller, seal::Keyring},
    channels::{Account, Channel as _, Http, InvalidAccount},
    domain::{
        channel::{Health, webhook_path},
        conversation::ChannelKind,
    },
    env::Env,
    error::{Error, Result},
    id::ChannelId,
    jobs::{
        connect_channel::{ConnectChannel, broken},
        outbound::channel_updated,
    },
    store::{
        Store,
        conversation::{Channel as Row, ChannelChange, NewChannel},
    },
    wire::{
        self, changed,
        channel::Secrets,
        conversation::v1::{
            Channel, CreateChannelRequest, CreateChannelResponse, GetChannelRequest, ListChannelsRequest,
            ListChannelsResponse, SetChannelEnabledRequest, TestChannelRequest, TestChannelResponse,
            UpdateChannelRequest, channel_service_server::ChannelService,
        },
        mask::Mask,
        page::Page,
    },
};

/// Serves channels.
pub struct Channels {
    store: Store,
    keys: Keyring,
    http: Http,
    public_url: Arc<str>,
}

impl Channels {
    pub fn new(store: Store, keys: Keyring, http: Http, public_url: Arc<str>) -> Self {
        Self { store, keys, http, public_url }
    }

    /// Asks the messenger who we are, and tells it where its webhooks go, if it can be told.
    async fn ask(&self, row: &Row, account: &Account) -> Result<String, (&'static str, String)> {
        let name = account.probe(&self.http).await.map_err(|no| (no.reason.as_str(), no.detail))?;
        if account.capabilities().connects {
            let url = format!("{}{}", self.public_url, webhook_path(row.kind, row.id));
            account.connect(&self.http, &url).await.map_err(|no| (broken(&no), no.detail))?;
        }
        Ok(name)
    }
}

#[tonic::async_trait]
impl ChannelService for Channels {
    async fn create_channel(
        &self,
        request: Request<CreateChannelRequest>,
    ) -> Result<Response<CreateChannelResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let CreateChannelRequest { id, name, account, secrets, validate_only } = request.into_inner();
        let id = wire::optional_id("id", &id)?.unwrap_or_else(|| self.store.env().id());
        let name = named(&name)?;
        let (kind, config) = account.ok_or_else(|| Error::invalid("account", "must be given"))?.into();
        let mut secrets = match secrets {
            Some(secrets) => Secrets::from(secrets).of(kind)?,
            None => Map::new(),
        };
        let generated = make_up(kind, &mut secrets, self.store.env());
        let (config, secrets) = (Json::Object(config), Json::Object(secrets));
        let opened = open(kind, &config, &secrets)?;
        let account = opened.external_id().unwrap_or_default().to_owned();

        let answer = self
            .store
            .of(scope)
            .command_or_check(
                validate_only,
                async |db| {
                    let secrets = db.channels().seal_secrets(&self.keys, id, &secrets).await?;
                    let (name, account, config) = (name.clone(), account.clone(), config.clone());
                    let row =
                        db.channels().insert(NewChannel { id, kind, name, account, config, secrets }).await?;
                    ConnectChannel { channel: id }.if_possible(db, &opened).await?;
                    db.emit(channel_updated(&row));
                    Ok(row)
                },
                |row| {
                    if validate_only {
                        return Ok(CreateChannelResponse::default());
                    }
                    let generated_secrets = generated.clone();
                    Ok(CreateChannelResponse { channel: Some((&row).into()), generated_secrets })
                },
            )
            .await?;

        Ok(Response::new(answer))
    }

    async fn get_channel(&self, request: Request<GetChannelRequest>) -> Result<Response<Channel>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("channel_id", &request.get_ref().channel_id)?;
        let row = self.store.of(scope).channels().get(id).await?;
        Ok(Response::new((&row).into()))
    }

    async fn list_channels(
        &self,
        request: Request<ListChannelsRequest>,
    ) -> Result<Response<ListChannelsResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let ListChannelsRequest { page_size, page_token } = request.into_inner();
        let page = Page::<ChannelId>::read("channels", page_size, &page_token, &[])?;
        let rows = self.store.of(scope).channels().list(page.after(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.id);
        let channels = rows.iter().map(Channel::from).collect();
        Ok(Response::new(ListChannelsResponse { channels, next_page_token }))
    }

    async fn update_channel(
        &self,
        request: Request<UpdateChannelRequest>,
    ) -> Result<Response<Channel>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let UpdateChannelRequest {
            channel_id,
            name,
            account,
            secrets,
            update_mask,
            expected_version,
            validate_only,
        } = request.into_inner();
        let id: ChannelId = wire::id("channel_id", &channel_id)?;
        let mask = Mask::read(update_mask, FIELDS)?;
        let name = if mask.changes("name", !name.is_empty()) { Some(named(&name)?) } else { None };
        let account = account.filter(|_| FIELDS[1..4].iter().any(|field| mask.changes(field, true)));
        let account: Option<wire::channel::Settings> = account.map(Into::into);
        let secrets = secrets.filter(|_| FIELDS[4..].iter().any(|field| mask.changes(field, true)));
        let secrets = secrets.map(Secrets::from);

        let answer = self
            .store
            .of(scope)
            .command_or_check(
                validate_only,
                async |db| {
                    let seen = db.channels().get(id).await?;
                    demand_version(expected_version, &seen)?;
                    let mut known = db.channels().open_secrets(&self.keys, &seen).await?;
                    let stored = known.clone();
                    if let Some(Secrets { kind, members }) = &secrets {
                        let new = Secrets { kind: *kind, members: members.clone() }.of(seen.kind)?;
                        known.as_object_mut().ok_or_else(unreadable)?.extend(new);
                    }
                    let config = match &account {
                        Some((kind, _)) if *kind != seen.kind => {
                            return Err(Error::invalid("account", "the kind of a channel cannot change"));
                        }
                        Some((_, config)) => Json::Object(config.clone()),
                        None => seen.config.clone(),
                    };
                    let opened = open(seen.kind, &config, &known)?;
                    let before = open(seen.kind, &seen.config, &stored).ok();
                    exposure::check(before.as_ref(), &stored, &opened, secrets.as_ref())?;
                    let repaired = account.is_some() || secrets.is_some();
                    let change = ChannelChange {
                        name: name.clone(),
                        // A Telegram bot's number is part of its token.
                        account: repaired
                            .then(|| (opened.external_id().unwrap_or_default().to_owned(), config)),
                        secrets: match &secrets {
                            Some(_) => Some(db.channels().seal_secrets(&self.keys, id, &known).await?),
                            None => None,
                        },
                        health: repaired.then_some((Health::Unknown, None)),
                        enabled: None,
                    };
                    let row = db.channels().change(&seen, change).await?;
                    if repaired {
                        ConnectChannel { channel: id }.if_possible(db, &opened).await?;
                    }
                    db.emit(channel_updated(&row));
                    Ok(if validate_only { seen } else { row })
                },
                |row| Ok((&row).into()),
            )
            .await?;

        Ok(Response::new(answer))
    }

    async fn set_channel_enabled(
        &self,
        request: Request<SetChannelEnabledRequest>,
    ) -> Result<Response<Channel>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let SetChannelEnabledRequest { channel_id, enabled, expected_version } = request.into_inner();
        let id = wire::id("channel_id", &channel_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.channels().get(id).await?;
                    demand_version(expected_version, &seen)?;
                    if seen.enabled == enabled {
                        return Ok(seen);
                    }
                    let change = ChannelChange { enabled: Some(enabled), ..ChannelChange::default() };
                    let row = db.channels().change(&seen, change).await?;
                    if enabled {
                        // What changed while it was off was not told.
                        let secrets = db.channels().open_secrets(&self.keys, &row).await?;
                        let opened = open(row.kind, &row.config, &secrets)?;
                        ConnectChannel { channel: id }.if_possible(db, &opened).await?;
                    }
                    db.emit(channel_updated(&row));
                    Ok(row)
                },
                |row| Ok((&row).into()),
            )
            .await?;

        Ok(Response::new(answer))
    }

    async fn test_channel(
        &self,
        request: Request<TestChannelRequest>,
    ) -> Result<Response<TestChannelResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("channel_id", &request.get_ref().channel_id)?;

        let db = self.store.of(scope);
        let seen: Row = db.channels().get(id).await?;
        let secrets = db.channels().open_secrets(&self.keys, &seen).await?;
        let account = open(seen.kind, &seen.config, &secrets)?;
        let (ok, reason, detail) = match self.ask(&seen, &account).await {
            Ok(name) => (true, String::new(), name),
            Err((reason, detail)) => (false, reason.to_owned(), detail),
        };
        let health = if ok { (Health::Ok, None) } else { (Health::Broken, Some(reason.clone())) };
        let changed = db
            .transaction(async |db| {
                let changed = db.channels().set_health(id, health.0, health.1.clone()).await?;
                if let Some(row) = &changed {
                    db.emit(channel_updated(row));
                }
                Ok(changed)
            })
            .await?;

        let channel = Some((&changed.unwrap_or(seen)).into());
        Ok(Response::new(TestChannelResponse { ok, reason, detail, channel }))
    }
}

/// What an update may name: the name, the accounts, the secrets.
const FIELDS: &[&str] =
    &["name", "whatsapp", "telegram", "webhook", "whatsapp_secrets", "telegram_secrets", "webhook_secrets"];

fn demand_version(expected: i64, seen: &Row) -> Result<()> {
    changed::unless(expected, seen.version, "switchboard.conversation.v1.Channel", || Channel::from(seen))
}

fn named(name: &str) -> Result<String> {
    match name.trim() {
        "" => Err(Error::invalid("name", "must not be empty")),
        name => Ok(name.to_owned()),
    }
}

fn open(kind: ChannelKind, config: &Json, secrets: &Json) -> Result<Account> {
    let account = Account::open(kind, config.clone(), secrets.clone());
    account.map_err(|InvalidAccount { field, problem }| Error::invalid(field, problem))
}

/// Makes up the secret that our side may choose, unless it is given; returns what was made up.
fn make_up(kind: ChannelKind, secrets: &mut Map<String, Json>, env: &Env) -> HashMap<String, String> {
    let (field, secret) = match kind {
        ChannelKind::Whatsapp => ("verify_token", URL_SAFE_NO_PAD.encode(env.bytes::<32>())),
        ChannelKind::Telegram => ("webhook_secret", URL_SAFE_NO_PAD.encode(env.bytes::<32>())),
        ChannelKind::Webhook => ("signing_secret", format!("whsec_{}", STANDARD.encode(env.bytes::<32>()))),
    };
    if secrets.contains_key(field) {
        return HashMap::new();
    }
    secrets.insert(field.to_owned(), Json::String(secret.clone()));
    HashMap::from([(field.to_owned(), secret)])
}

fn unreadable() -> Error {
    Error::internal(anyhow::anyhow!("the secrets of a channel are not a JSON object"))
}
