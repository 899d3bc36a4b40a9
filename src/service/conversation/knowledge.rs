//! KnowledgeService: documents the AI may answer from.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::event::Event,
    error::Result,
    id::DocumentId,
    service::recorded_unless,
    store::{
        Store, TenantDb, Tx,
        conversation::{Document as Row, DocumentText},
    },
    wire::{
        self, changed,
        conversation::v1::{
            CreateDocumentRequest, DeleteDocumentRequest, DeleteDocumentResponse, Document,
            GetDocumentRequest, ListDocumentsRequest, ListDocumentsResponse, UpdateDocumentRequest,
            knowledge_service_server::KnowledgeService,
        },
        knowledge,
        page::Page,
    },
};

/// Serves documents.
pub struct Documents {
    store: Store,
}

impl Documents {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

pub(in crate::service) fn demand_version(expected: i64, seen: &Row) -> Result<()> {
    changed::unless(expected, seen.version, "switchboard.conversation.v1.Document", || Document::from(seen))
}

fn tell(db: &TenantDb<Tx>, id: DocumentId, action: &str) {
    db.emit(Event::TenantUpdated { subject: id.to_string(), action: action.to_owned() });
}

pub(in crate::service) async fn insert(db: &TenantDb<Tx>, id: DocumentId, text: DocumentText) -> Result<Row> {
    tell(db, id, "document.create");
    db.documents().insert(id, text).await
}

/// Has `seen` say `text`; changes nothing when it does already.
pub(in crate::service) async fn change(db: &TenantDb<Tx>, seen: &Row, text: DocumentText) -> Result<Row> {
    if text == seen.text() {
        return Ok(seen.clone());
    }
    tell(db, seen.id, "document.update");
    db.documents().change(seen, text).await
}

pub(in crate::service) async fn delete(db: &TenantDb<Tx>, seen: &Row) -> Result<()> {
    tell(db, seen.id, "document.delete");
    db.documents().delete(seen).await
}

#[tonic::async_trait]
impl KnowledgeService for Documents {
    async fn create_document(
        &self,
        request: Request<CreateDocumentRequest>,
    ) -> Result<Response<Document>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id = wire::optional_id("id", &request.id)?.unwrap_or_else(|| self.store.env().id());
        let validate_only = request.validate_only;
        let text = knowledge::new_document(request)?;

        let answer = self
            .store
            .of(recorded_unless(validate_only, scope))
            .command(
                async |db| {
                    if validate_only {
                        return Ok(db.documents().preview(id, text.clone()));
                    }
                    insert(db, id, text.clone()).await
                },
                |row| Ok(Document::from(&row)),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn get_document(&self, request: Request<GetDocumentRequest>) -> Result<Response<Document>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("document_id", &request.get_ref().document_id)?;
        let row = self.store.of(scope).documents().get(id).await?;
        Ok(Response::new(Document::from(&row)))
    }

    async fn list_documents(
        &self,
        request: Request<ListDocumentsRequest>,
    ) -> Result<Response<ListDocumentsResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let kind = knowledge::document_type(request.document_type)?;
        let bound = request.document_type.to_string();
        let page = Page::read("documents", request.page_size, &request.page_token, &[&bound])?;

        let rows = self.store.of(scope).documents().list(kind, page.after(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.id);
        let documents = rows.iter().map(Document::from).collect();
        Ok(Response::new(ListDocumentsResponse { documents, next_page_token }))
    }

    async fn update_document(
        &self,
        request: Request<UpdateDocumentRequest>,
    ) -> Result<Response<Document>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id: DocumentId = wire::id("document_id", &request.document_id)?;

        let answer = self
            .store
            .of(recorded_unless(request.validate_only, scope))
            .command(
                async |db| {
                    let seen = db.documents().get(id).await?;
                    demand_version(request.expected_version, &seen)?;
                    let text = knowledge::changed_document(request.clone(), seen.text())?;
                    if request.validate_only {
                        let Row { version, create_time, .. } = seen;
                        return Ok(Row { version, create_time, ..db.documents().preview(id, text) });
                    }
                    change(db, &seen, text).await
                },
                |row| Ok(Document::from(&row)),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn delete_document(
        &self,
        request: Request<DeleteDocumentRequest>,
    ) -> Result<Response<DeleteDocumentResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id: DocumentId = wire::id("document_id", &request.document_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.documents().get(id).await?;
                    demand_version(request.expected_version, &seen)?;
                    delete(db, &seen).await
                },
                |()| Ok(DeleteDocumentResponse {}),
            )
            .await?;
        Ok(Response::new(answer))
    }
}
