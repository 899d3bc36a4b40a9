//! Documents, products and decision settings: requests to values, rows to the contract's messages.

use super::{
    conversation::v1::{
        self, CreateDocumentRequest, CreateProductRequest, UpdateDocumentRequest, UpdateProductRequest,
    },
    mask::Mask,
    tenant::v1 as tenant,
    time,
    types::v1::Money,
};
use crate::{
    domain::{
        decision::Policy,
        intent::Intent,
        money,
        retrieval::{DocumentType, Quote},
    },
    error::{Error, Result},
    store::conversation::{DecisionSettings, Document, DocumentText, Product, ProductText},
    wire::suggestion::intents,
};

/// A type to filter by or to set; `None` when unspecified.
pub fn document_type(number: i32) -> Result<Option<DocumentType>> {
    let kind = v1::DocumentType::try_from(number);
    Ok(match kind.map_err(|_| Error::invalid("document_type", "is not a known type"))? {
        v1::DocumentType::Unspecified => None,
        v1::DocumentType::Policy => Some(DocumentType::Policy),
        v1::DocumentType::Faq => Some(DocumentType::Faq),
        v1::DocumentType::Delivery => Some(DocumentType::Delivery),
        v1::DocumentType::Returns => Some(DocumentType::Returns),
    })
}

impl From<&Document> for v1::Document {
    fn from(row: &Document) -> Self {
        let DocumentText { title, content, document_type, category, tags, active } = row.text();
        let document_type = match document_type {
            DocumentType::Other => v1::DocumentType::Unspecified,
            DocumentType::Policy => v1::DocumentType::Policy,
            DocumentType::Faq => v1::DocumentType::Faq,
            DocumentType::Delivery => v1::DocumentType::Delivery,
            DocumentType::Returns => v1::DocumentType::Returns,
        };
        Self {
            id: row.id.to_string(),
            title,
            content,
            document_type: document_type.into(),
            category,
            tags,
            active,
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

/// Reads a document to add.
pub fn new_document(request: CreateDocumentRequest) -> Result<DocumentText> {
    let text = DocumentText {
        title: request.title,
        content: request.content,
        document_type: document_type(request.document_type)?.unwrap_or(DocumentType::Other),
        category: request.category,
        tags: request.tags,
        active: request.active.unwrap_or(true),
    };
    check_document(&text)?;
    Ok(text)
}

const DOCUMENT_FIELDS: &[&str] = &["title", "content", "document_type", "category", "tags", "active"];

/// What `old` becomes by `request`.
pub fn changed_document(request: UpdateDocumentRequest, old: DocumentText) -> Result<DocumentText> {
    let mask = Mask::read(request.update_mask, DOCUMENT_FIELDS)?;
    let kind = request.document_type.map(document_type).transpose()?;
    let tags = (!request.tags.is_empty()).then_some(request.tags);
    let text = DocumentText {
        title: mask.pick("title", request.title, old.title),
        content: mask.pick("content", request.content, old.content),
        document_type: mask
            .pick("document_type", kind, Some(old.document_type))
            .unwrap_or(DocumentType::Other),
        category: mask.pick("category", request.category, old.category),
        tags: mask.pick("tags", tags, old.tags),
        active: mask.pick("active", request.active, old.active),
    };
    check_document(&text)?;
    Ok(text)
}

fn check_document(text: &DocumentText) -> Result<()> {
    length("title", &text.title, 1, 200)?;
    length("content", &text.content, 1, 50_000)?;
    length("category", &text.category, 0, 100)?;
    if text.tags.len() > 20 {
        return Err(Error::invalid("tags", "at most 20"));
    }
    for (index, tag) in text.tags.iter().enumerate() {
        length(&format!("tags[{index}]"), tag, 1, 50)?;
    }
    Ok(())
}

/// The rules of a text: characters, and something to read when there must be any. The access layer asks the
/// same of requests; here it also holds for what a mask empties.
fn length(field: &str, text: &str, least: usize, most: usize) -> Result<()> {
    let characters = text.chars().count();
    if characters > most {
        return Err(Error::invalid(field, format!("at most {most} characters")));
    }
    if least > 0 && text.trim().is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    Ok(())
}

impl From<&Product> for v1::Product {
    fn from(row: &Product) -> Self {
        let text = row.text();
        Self {
            id: row.id.to_string(),
            sku: text.sku,
            name: text.name,
            description: text.description,
            category: text.category,
            price: text.price.map(|price| amount(price.minor, &price.currency)),
            in_stock: text.in_stock,
            stock_quantity: text.stock_quantity,
            delivery_info: text.delivery_info,
            active: text.active,
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

fn amount(minor: i64, currency: &str) -> Money {
    let (units, nanos) = money::units_and_nanos(minor, currency);
    Money { currency_code: currency.to_owned(), units, nanos }
}

/// Reads a price; an empty currency is the tenant's.
fn price(price: &Money, currency: &str) -> Result<Quote> {
    let currency = if price.currency_code.is_empty() { currency } else { &price.currency_code };
    if !money::is_currency(currency) {
        return Err(Error::invalid("price.currency_code", "must be three capital letters, such as EUR"));
    }
    let minor = money::minor(price.units, price.nanos, currency)
        .ok_or_else(|| Error::invalid("price", format!("is no whole number of minor units of {currency}")))?;
    if minor < 0 {
        return Err(Error::invalid("price", "must not be negative"));
    }
    Ok(Quote { minor, currency: currency.to_owned() })
}

/// Reads a product to add; `currency` is the tenant's.
pub fn new_product(request: CreateProductRequest, currency: &str) -> Result<ProductText> {
    let text = ProductText {
        sku: request.sku,
        name: request.name,
        description: request.description,
        category: request.category,
        price: request.price.as_ref().map(|given| price(given, currency)).transpose()?,
        in_stock: request.in_stock.unwrap_or(request.stock_quantity != Some(0)),
        stock_quantity: request.stock_quantity,
        delivery_info: request.delivery_info,
        active: request.active.unwrap_or(true),
    };
    check_product(&text)?;
    Ok(text)
}

const PRODUCT_FIELDS: &[&str] = &[
    "sku",
    "name",
    "description",
    "category",
    "price",
    "in_stock",
    "stock_quantity",
    "delivery_info",
    "active",
];

/// What `old` becomes by `request`; `currency` is the tenant's.
pub fn changed_product(
    request: UpdateProductRequest,
    old: ProductText,
    currency: &str,
) -> Result<ProductText> {
    let mask = Mask::read(request.update_mask, PRODUCT_FIELDS)?;
    let new_price = request.price.as_ref().map(|given| price(given, currency)).transpose()?;
    let text = ProductText {
        sku: mask.pick("sku", request.sku, old.sku),
        name: mask.pick("name", request.name, old.name),
        description: mask.pick("description", request.description, old.description),
        category: mask.pick("category", request.category, old.category),
        price: mask.pick("price", new_price.map(Some), old.price),
        in_stock: mask.pick("in_stock", request.in_stock, old.in_stock),
        stock_quantity: mask.pick("stock_quantity", request.stock_quantity.map(Some), old.stock_quantity),
        delivery_info: mask.pick("delivery_info", request.delivery_info, old.delivery_info),
        active: mask.pick("active", request.active, old.active),
    };
    check_product(&text)?;
    Ok(text)
}

fn check_product(text: &ProductText) -> Result<()> {
    length("sku", &text.sku, 0, 50)?;
    length("name", &text.name, 1, 200)?;
    length("description", &text.description, 0, 10_000)?;
    length("category", &text.category, 0, 100)?;
    length("delivery_info", &text.delivery_info, 0, 500)?;
    if text.stock_quantity.is_some_and(|quantity| quantity < 0) {
        return Err(Error::invalid("stock_quantity", "must not be negative"));
    }
    Ok(())
}

impl From<&DecisionSettings> for tenant::DecisionSettings {
    fn from(settings: &DecisionSettings) -> Self {
        let DecisionSettings { policy, version, update_time } = settings;
        Self {
            t_auto_bp: policy.t_auto_bp,
            t_escalate_bp: policy.t_escalate_bp,
            autosend_enabled: policy.autosend_enabled,
            autosend_allowed: policy.autosend_allowed,
            intents_autosend_allowed: intents(&policy.intents_autosend_allowed),
            intents_force_handoff: intents(&policy.intents_force_handoff),
            update_time: update_time.map(time),
            version: *version,
        }
    }
}

const SETTINGS_FIELDS: &[&str] = &[
    "t_auto_bp",
    "t_escalate_bp",
    "autosend_enabled",
    "autosend_allowed",
    "intents_autosend_allowed",
    "intents_force_handoff",
];

/// What `old` becomes by `request`.
pub fn changed_settings(request: tenant::UpdateDecisionSettingsRequest, old: Policy) -> Result<Policy> {
    let mask = Mask::read(request.update_mask, SETTINGS_FIELDS)?;
    let list = |field: &str, words: Vec<String>, old: Vec<Intent>| -> Result<Vec<Intent>> {
        let new = (!words.is_empty()).then(|| known(field, &words)).transpose()?;
        Ok(mask.pick(field, new, old))
    };
    let policy = Policy {
        engine_on: old.engine_on,
        t_auto_bp: mask.pick("t_auto_bp", request.t_auto_bp, old.t_auto_bp),
        t_escalate_bp: mask.pick("t_escalate_bp", request.t_escalate_bp, old.t_escalate_bp),
        autosend_enabled: mask.pick("autosend_enabled", request.autosend_enabled, old.autosend_enabled),
        autosend_allowed: mask.pick("autosend_allowed", request.autosend_allowed, old.autosend_allowed),
        intents_autosend_allowed: list(
            "intents_autosend_allowed",
            request.intents_autosend_allowed,
            old.intents_autosend_allowed,
        )?,
        intents_force_handoff: list(
            "intents_force_handoff",
            request.intents_force_handoff,
            old.intents_force_handoff,
        )?,
    };
    for (field, bp) in [("t_auto_bp", policy.t_auto_bp), ("t_escalate_bp", policy.t_escalate_bp)] {
        if !(0..=10_000).contains(&bp) {
            return Err(Error::invalid(field, "must be 0 to 10,000 basis points"));
        }
    }
    if policy.t_escalate_bp > policy.t_auto_bp {
        return Err(Error::invalid("t_escalate_bp", "must not be above t_auto_bp"));
    }
    Ok(policy)
}

fn known(field: &str, words: &[String]) -> Result<Vec<Intent>> {
    if words.len() > 50 {
        return Err(Error::invalid(field, "at most 50"));
    }
    let mut intents = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let intent = Intent::known(word)
            .ok_or_else(|| Error::invalid(format!("{field}[{index}]"), "is not a known intent"))?;
        if !intents.contains(&intent) {
            intents.push(intent);
        }
    }
    Ok(intents)
}
