//! ApiKeyService: credentials for machines.

use tonic::{Request, Response, Status};

use crate::{
    auth::{
        Caller,
        token::{self, Kind, Token},
    },
    domain::{access::Permission, event::Event},
    error::{Error, Result},
    id::ApiKeyId,
    store::{
        Store,
        tenant::{ApiKey, NewApiKey, Permissions},
    },
    wire::{
        self, changed,
        page::Page,
        tenant::v1::{
            self, CreateApiKeyRequest, CreateApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse,
            RevokeApiKeyRequest, api_key_service_server::ApiKeyService,
        },
    },
};

/// Serves API keys.
pub struct ApiKeys {
    store: Store,
}

impl ApiKeys {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl ApiKeyService for ApiKeys {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (scope, creator) = (caller.scope()?, caller.user()?);
        let CreateApiKeyRequest { name, permissions, expire_time, api_key_id, validate_only } =
            request.into_inner();
        let env = self.store.env();
        let id = wire::optional_id::<ApiKeyId>("api_key_id", &api_key_id)?;
        let name = wire::tenant::name("name", &name, 100)?;
        let permissions = wire::tenant::permission_list("permissions", &permissions)?;
        let expires_at = expire_time.map(|at| wire::tenant::instant("expire_time", &at)).transpose()?;
        if expires_at.is_some_and(|at| at <= env.now()) {
            return Err(Error::invalid("expire_time", "must be in the future").into());
        }
        check_held(&caller, &permissions)?;

        let token = Token::make(Kind::ApiKey, env);
        let (prefix, last4) = token::shown(token.text());
        let new = NewApiKey {
            id: id.unwrap_or_else(|| env.id()),
            name,
            token_hash: token.hash(),
            shown: (prefix.to_owned(), last4.to_owned()),
            permissions,
            creator,
            expires_at,
        };
        if validate_only {
            let api_key = Some((&self.would_create(&scope, new)).into());
            return Ok(Response::new(CreateApiKeyResponse { api_key, secret: String::new() }));
        }
        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let key = db.api_keys().add(new.clone()).await?;
                    let subject = key.id.to_string();
                    db.emit(Event::TenantUpdated { subject, action: "api_key.created".to_owned() });
                    Ok(key)
                },
                |key| {
                    let secret = token.text().to_owned();
                    Ok(CreateApiKeyResponse { api_key: Some((&key).into()), secret })
                },
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let ListApiKeysRequest { page_size, page_token } = request.into_inner();
        let page = Page::<ApiKeyId>::read("api_keys", page_size, &page_token, &[])?;

        let rows = self.store.of(scope).api_keys().list(page.after().copied(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |key| key.id);
        let api_keys = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListApiKeysResponse { api_keys, next_page_token }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<v1::ApiKey>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let RevokeApiKeyRequest { api_key_id, expected_version } = request.into_inner();
        let id: ApiKeyId = wire::id("api_key_id", &api_key_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.api_keys().lock(id).await?;
                    if seen.revoked_at.is_some() {
                        return Ok(seen);
                    }
                    let name = "switchboard.tenant.v1.ApiKey";
                    changed::unless(expected_version, seen.version, name, || v1::ApiKey::from(&seen))?;
                    let key = db.api_keys().revoke(seen).await?;
                    let subject = key.id.to_string();
                    db.emit(Event::TenantUpdated { subject, action: "api_key.revoked".to_owned() });
                    Ok(key)
                },
                |key| Ok((&key).into()),
            )
            .await?;
        Ok(Response::new(answer))
    }
}

impl ApiKeys {
    /// The key as it would be: without an id, because there is none yet.
    fn would_create(&self, scope: &crate::auth::TenantScope, new: NewApiKey) -> ApiKey {
        let now = self.store.env().now();
        ApiKey {
            tenant_id: scope.tenant(),
            id: new.id,
            name: new.name,
            token_hash: Vec::new(),
            prefix: String::new(),
            last4: String::new(),
            permissions: Permissions(new.permissions),
            creator_id: new.creator,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
            version: 0,
            create_time: now,
            update_time: now,
        }
    }
}

/// A key cannot do what its creator may not do.
fn check_held(caller: &Caller, permissions: &[Permission]) -> Result<()> {
    let role = caller.role();
    let beyond = permissions.iter().find(|permission| !role.is_some_and(|role| permission.held_by(role)));
    match beyond {
        None => Ok(()),
        Some(permission) => Err(Error::Forbidden {
            reason: "PERMISSION_NOT_HELD",
            message: format!("you do not hold {} yourself", permission.name()).into(),
            metadata: vec![("permission", permission.name().to_owned())],
        }),
    }
}
