//! SyncService: copies of rows on clients that are not always connected.

mod push;

use tonic::{Request, Response, Status};

use crate::{
    access,
    auth::Caller,
    domain::access::Permission,
    error::{Error, Result},
    store::{Store, sync::Collection},
    wire::{
        self,
        tenant::v1::{
            PullChangesRequest, PullChangesResponse, PushChangesRequest, PushChangesResponse,
            sync_service_server::SyncService,
        },
    },
};

/// Serves copies.
pub struct Sync {
    store: Store,
}

impl Sync {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

/// The method's policy lets in whoever may see conversations; some collections and changes ask for more.
fn demand(caller: &Caller, permission: Permission) -> Result<()> {
    access::demand(caller.identity.as_ref().ok_or(Error::Unauthenticated)?, permission)
}

#[tonic::async_trait]
impl SyncService for Sync {
    async fn pull_changes(
        &self,
        request: Request<PullChangesRequest>,
    ) -> Result<Response<PullChangesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let scope = caller.scope()?;
        let PullChangesRequest { collection, cursor, until_seq, page_size } = request.into_inner();
        let collection = wire::sync::collection("collection", collection)?;
        let tenant = scope.tenant();
        let cursor = cursor.map(|cursor| wire::sync::cursor(&cursor, tenant, collection)).transpose()?;
        let until = (until_seq != 0).then_some(until_seq);
        let limit = usize::try_from(wire::page::size(page_size)?).map_err(Error::internal)?;
        if collection == Collection::Customers {
            demand(&caller, Permission::ViewCustomers)?;
        }

        let page = self.store.of(scope).copies().pull(collection, cursor, until, limit).await?;
        Ok(Response::new(wire::sync::page(page, tenant, collection)))
    }

    async fn push_changes(
        &self,
        request: Request<PushChangesRequest>,
    ) -> Result<Response<PushChangesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let scope = caller.scope()?;
        let changes = push::read(request.into_inner().changes)?;
        for permission in changes.iter().map(push::Change::permission) {
            demand(&caller, permission)?;
        }

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let mut results = Vec::with_capacity(changes.len());
                    for change in &changes {
                        results.push(change.carry_out(db).await?);
                    }
                    Ok(results)
                },
                |results| Ok(PushChangesResponse { results }),
            )
            .await?;
        Ok(Response::new(answer))
    }
}
