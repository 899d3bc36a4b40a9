//! EscalationService: questions that went over to people.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::{event::Event, suggestion::resolve_escalation},
    error::{Error, Result},
    id::EscalationId,
    store::{Store, conversation::EscalationFilter},
    wire::{
        self, changed,
        conversation::v1::{
            Escalation, GetEscalationRequest, ListEscalationsRequest, ListEscalationsResponse,
            ResolveEscalationRequest, escalation_service_server::EscalationService,
        },
        page::Page,
        suggestion::escalation_state,
    },
};

/// Serves escalations.
pub struct Escalations {
    store: Store,
}

impl Escalations {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl EscalationService for Escalations {
    async fn list_escalations(
        &self,
        request: Request<ListEscalationsRequest>,
    ) -> Result<Response<ListEscalationsResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let filter = EscalationFilter {
            conversation: wire::optional_id("conversation_id", &request.conversation_id)?,
            state: escalation_state(request.state)?,
        };
        let bound = [request.conversation_id.as_str(), &request.state.to_string()];
        let page = Page::read("escalations", request.page_size, &request.page_token, &bound)?;

        let rows = self.store.of(scope).escalations().list(filter, page.after(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.id);
        let escalations = rows.iter().map(Escalation::from).collect();
        Ok(Response::new(ListEscalationsResponse { escalations, next_page_token }))
    }

    async fn get_escalation(
        &self,
        request: Request<GetEscalationRequest>,
    ) -> Result<Response<Escalation>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("escalation_id", &request.get_ref().escalation_id)?;
        let row = self.store.of(scope).escalations().get(id).await?;
        Ok(Response::new(Escalation::from(&row)))
    }

    async fn resolve_escalation(
        &self,
        request: Request<ResolveEscalationRequest>,
    ) -> Result<Response<Escalation>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id: EscalationId = wire::id("escalation_id", &request.escalation_id)?;
        let to = escalation_state(request.state)?
            .ok_or_else(|| Error::invalid("state", "say what became of it: handled or dismissed"))?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.escalations().get(id).await?;
                    let Some(to) = resolve_escalation(seen.state, to)? else { return Ok(seen) };
                    let name = "switchboard.conversation.v1.Escalation";
                    changed::unless(request.expected_version, seen.version, name, || {
                        Escalation::from(&seen)
                    })?;
                    db.emit(Event::TenantUpdated {
                        subject: id.to_string(),
                        action: "escalation.resolve".to_owned(),
                    });
                    db.escalations().resolve(&seen, to).await
                },
                |row| Ok(Escalation::from(&row)),
            )
            .await?;
        Ok(Response::new(answer))
    }
}
