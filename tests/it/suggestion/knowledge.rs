//! Documents and products: their limits, their versions, and that a change counts at once.

use prost_types::FieldMask;
use switchboard::wire::{
    conversation::v1::{
        CreateDocumentRequest, CreateProductRequest, DeleteProductRequest, ListDocumentsRequest,
        ListProductsRequest, UpdateDocumentRequest, UpdateProductRequest,
    },
    types::v1::Money,
};
use tonic::Code;

use super::stage::Stage;
use crate::{conversation::shop::count, support::both};

fn euros(units: i64, nanos: i32) -> Option<Money> {
    Some(Money { currency_code: String::new(), units, nanos })
}

fn product(name: &str) -> CreateProductRequest {
    CreateProductRequest { name: name.to_owned(), ..Default::default() }
}

fn document(title: &str, content: &str) -> CreateDocumentRequest {
    CreateDocumentRequest { title: title.to_owned(), content: content.to_owned(), ..Default::default() }
}

/// Acceptance case 32: each limit, and nothing written.
#[tokio::test]
async fn limits_hold() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let long = |n: usize| "é".repeat(n);
        for bad in [
            document(&long(201), "x"),
            document("", "x"),
            document("t", " "),
            document("t", &long(50_001)),
            CreateDocumentRequest { tags: vec!["t".into(); 21], ..document("t", "x") },
            CreateDocumentRequest { tags: vec![long(51)], ..document("t", "x") },
            CreateDocumentRequest { id: "con_1".into(), ..document("t", "x") },
            CreateDocumentRequest { document_type: 99, ..document("t", "x") },
        ] {
            let refused = stage.knowledge().create_document(bad).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        }
        let strange = Money { currency_code: "euro".into(), units: 1, nanos: 0 };
        for bad in [
            product(&long(201)),
            product(" "),
            CreateProductRequest { price: euros(-1, 0), ..product("p") },
            CreateProductRequest { price: euros(1, 1), ..product("p") },
            CreateProductRequest { price: Some(strange), ..product("p") },
            CreateProductRequest { stock_quantity: Some(-1), ..product("p") },
            CreateProductRequest { sku: long(51), ..product("p") },
        ] {
            let refused = stage.catalog().create_product(bad).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        }
        assert_eq!(count(&pair, "document", stage.shop.tenant).await, 1);
        assert_eq!(count(&pair, "product", stage.shop.tenant).await, 1);

        let widest =
            CreateDocumentRequest { tags: vec![long(50); 20], ..document(&long(200), &long(50_000)) };
        let created = stage.knowledge().create_document(widest).await.unwrap().into_inner();
        assert_eq!((created.version, created.content.chars().count()), (1, 50_000));
        let priced = CreateProductRequest { price: euros(12, 500_000_000), ..product("Molino") };
        let created = stage.catalog().create_product(priced).await.unwrap().into_inner();
        assert_eq!(created.price.unwrap().currency_code, "EUR");
        assert!(created.in_stock && created.active);
    })
    .await;
}

#[tokio::test]
async fn changes_are_guarded_and_partial() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let created = stage.knowledge().create_document(document("Hours", "Nine to five")).await.unwrap();
        let created = created.into_inner();
        let update = UpdateDocumentRequest {
            document_id: created.id.clone(),
            content: Some("Ten to six".to_owned()),
            expected_version: 1,
            ..Default::default()
        };
        let checked = UpdateDocumentRequest { validate_only: true, ..update.clone() };
        assert_eq!(stage.knowledge().update_document(checked).await.unwrap().into_inner().version, 1);
        let changed = stage.knowledge().update_document(update.clone()).await.unwrap().into_inner();
        assert_eq!(
            (changed.title.as_str(), changed.content.as_str(), changed.version),
            ("Hours", "Ten to six", 2)
        );
        let stale = stage.knowledge().update_document(update).await.unwrap_err();
        assert_eq!(stale.code(), Code::Aborted);
        let mask = |path: &str| Some(FieldMask { paths: vec![path.to_owned()] });
        let empty = UpdateDocumentRequest {
            document_id: created.id.clone(),
            update_mask: mask("title"),
            ..Default::default()
        };
        assert_eq!(stage.knowledge().update_document(empty).await.unwrap_err().code(), Code::InvalidArgument);
        let unknown =
            UpdateDocumentRequest { document_id: created.id, update_mask: mask("id"), ..Default::default() };
        assert_eq!(
            stage.knowledge().update_document(unknown).await.unwrap_err().code(),
            Code::InvalidArgument
        );

        let sku = CreateProductRequest { sku: "X-200".to_owned(), ..product("Another") };
        assert_eq!(stage.catalog().create_product(sku).await.unwrap_err().code(), Code::AlreadyExists);
    })
    .await;
}

/// Acceptance case 102: a new price counts from the next draft on, and what is deleted is gone from it.
#[tokio::test]
async fn a_change_counts_from_the_next_draft_on() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let listed =
            stage.catalog().list_products(ListProductsRequest::default()).await.unwrap().into_inner();
        let product_id = listed.products[0].id.clone();
        let first = stage.turn(0, "How much is the espresso machine?").await;
        assert!(first.text.contains("349.00 EUR"));

        let price = Money { currency_code: "EUR".into(), units: 299, nanos: 0 };
        let update =
            UpdateProductRequest { product_id: product_id.clone(), price: Some(price), ..Default::default() };
        assert_eq!(stage.catalog().update_product(update).await.unwrap().into_inner().version, 2);
        let second = stage.turn(10, "And the price of the espresso machine today?").await;
        assert!(second.text.contains("299.00 EUR"), "{}", second.text);

        let delete = DeleteProductRequest { product_id, expected_version: 2 };
        stage.catalog().delete_product(delete).await.unwrap();
        assert_eq!(count(&pair, "passage", stage.shop.tenant).await, 1);
        let third = stage.turn(20, "espresso machine price?").await;
        assert!(!third.text.contains("EUR"), "{}", third.text);
        // What was drafted before keeps the knowledge it was made from.
        assert!(stage.drafts().await[2].sources.to_string().contains("34900"));
    })
    .await;
}

/// A big catalogue and long documents: the question brings a bounded part of them into memory.
#[tokio::test]
async fn retrieval_is_bounded() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let db = stage.shop.store.of(stage.shop.scope());
        db.transaction(async |db| {
            for number in 0..600 {
                let mut text = super::stage::machine();
                (text.sku, text.name) = (format!("S{number}"), format!("Espresso cup {number}"));
                db.products().insert(db.env().id(), text).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let found = db.passages().candidates("espresso cup 417").await.unwrap();
        assert_eq!(found.len(), 500);
        assert!(found.iter().any(|passage| passage.title == "Espresso cup 417"));
        let draft = stage.turn(0, "How much is the espresso cup 417?").await;
        assert!(draft.text.contains("Espresso cup 417 costs"), "{}", draft.text);
    })
    .await;
}

#[tokio::test]
async fn lists_leave_long_contents_out() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        for number in 0..3 {
            let long = "word ".repeat(9_000);
            stage.knowledge().create_document(document(&format!("d{number}"), &long)).await.unwrap();
        }
        let request = ListDocumentsRequest { page_size: 3, ..Default::default() };
        let page = stage.knowledge().list_documents(request).await.unwrap().into_inner();
        assert_eq!(page.documents.len(), 3);
        assert!(page.documents.iter().all(|document| document.content.is_empty()));
        let request = ListDocumentsRequest { page_token: page.next_page_token, ..Default::default() };
        let rest = stage.knowledge().list_documents(request).await.unwrap().into_inner();
        assert_eq!((rest.documents.len(), rest.next_page_token.as_str()), (1, ""));
    })
    .await;
}
