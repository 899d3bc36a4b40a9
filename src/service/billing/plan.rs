//! PlanService: what is for sale.

use tonic::{Request, Response, Status};

use crate::{
    store::Store,
    wire::{
        billing::v1::{ListPlansRequest, ListPlansResponse, plan_service_server::PlanService},
        page::Page,
    },
};

/// Serves plans.
pub struct Plans {
    store: Store,
}

impl Plans {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl PlanService for Plans {
    async fn list_plans(
        &self,
        request: Request<ListPlansRequest>,
    ) -> Result<Response<ListPlansResponse>, Status> {
        let ListPlansRequest { page_size, page_token, currency_code } = request.into_inner();
        let page = Page::<usize>::read("plans", page_size, &page_token, &[&currency_code])?;
        let currency = Some(currency_code.as_str()).filter(|code| !code.is_empty());

        // A handful of rows that rarely change: a place in their order is enough of a cursor.
        let plans = self.store.system().plans().on_sale(currency).await?;
        let begin = page.after().map_or(0, |last| last + 1);
        let fetch = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
        let rows = plans.iter().enumerate().skip(begin).take(fetch).collect::<Vec<_>>();
        let (rows, next_page_token) = page.cut(rows, |(place, _)| *place);
        let plans = rows.into_iter().map(|(_, plan)| plan.into()).collect();
        Ok(Response::new(ListPlansResponse { plans, next_page_token }))
    }
}
