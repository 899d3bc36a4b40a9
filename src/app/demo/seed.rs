//! The shop before it opens: people, channels, documents, products.

use tonic::transport::Channel as Transport;

use super::{
    client::Person,
    script::{DOCUMENTS, PRODUCTS},
};
use crate::{
    env::Env,
    sandbox::{Provider, Running, Subscription},
    wire::{
        conversation::v1::{
            CreateChannelRequest, CreateDocumentRequest, CreateProductRequest, DocumentType, TelegramAccount,
            TelegramSecrets, WhatsappAccount, WhatsappSecrets,
            create_channel_request::{Account, Secrets},
        },
        tenant::v1::{InviteMemberRequest, Role},
        types::v1::Money,
    },
};

/// The password of everyone in the demo.
pub(super) const PASSWORD: &str = "Demo-shop-2026";
/// The shop's WhatsApp number at Meta.
pub(super) const WHATSAPP: &str = "810000000000007";
/// The shop's bot.
pub(super) const TELEGRAM: &str = "5550001111";

/// The shop, ready to open.
pub(super) struct Shop {
    pub(super) owner: Person,
    pub(super) operators: Vec<Person>,
}

pub(super) async fn seed(
    server: &str,
    transport: Transport,
    sandbox: &Running,
    env: &Env,
) -> anyhow::Result<Shop> {
    // Many demos may share one database: each has its own shop.
    let run = hex::encode(env.bytes::<3>());
    let owner =
        Person::sign_up(transport.clone(), &format!("ana-{run}@demo.example"), PASSWORD, "Heron Bikes", "")
            .await?;
    let mut operators = Vec::new();
    for name in ["ben", "cleo"] {
        let email = format!("{name}-{run}@demo.example");
        let invite =
            InviteMemberRequest { email: email.clone(), role: Role::Operator.into(), validate_only: false };
        let token = owner.members().invite_member(invite).await?.into_inner().token;
        operators.push(Person::sign_up(transport.clone(), &email, PASSWORD, "", &token).await?);
    }
    knowledge(&owner).await?;
    channels(server, &owner, sandbox, env).await?;
    Ok(Shop { owner, operators })
}

async fn knowledge(owner: &Person) -> anyhow::Result<()> {
    for (title, content, kind) in DOCUMENTS {
        let kind = format!("DOCUMENT_TYPE_{}", kind.to_uppercase());
        let document = CreateDocumentRequest {
            title: (*title).to_owned(),
            content: (*content).to_owned(),
            document_type: DocumentType::from_str_name(&kind).unwrap_or_default().into(),
            ..CreateDocumentRequest::default()
        };
        owner.knowledge().create_document(document).await?;
    }
    for (sku, name, description, cents, in_stock) in PRODUCTS {
        let nanos = i32::try_from(cents % 100 * 10_000_000)?;
        let product = CreateProductRequest {
            sku: (*sku).to_owned(),
            name: (*name).to_owned(),
            description: (*description).to_owned(),
            price: Some(Money { currency_code: "EUR".to_owned(), units: cents / 100, nanos }),
            in_stock: Some(*in_stock),
            ..CreateProductRequest::default()
        };
        owner.catalog().create_product(product).await?;
    }
    Ok(())
}

async fn channels(server: &str, owner: &Person, sandbox: &Running, env: &Env) -> anyhow::Result<()> {
    let run = hex::encode(env.bytes::<8>());
    let app_secret = format!("app-secret-{run}");
    let whatsapp = CreateChannelRequest {
        name: "WhatsApp".to_owned(),
        account: Some(Account::Whatsapp(WhatsappAccount {
            phone_number_id: WHATSAPP.to_owned(),
            api_base_url: sandbox.url().to_owned(),
            ..WhatsappAccount::default()
        })),
        secrets: Some(Secrets::WhatsappSecrets(WhatsappSecrets {
            access_token: format!("token-{run}"),
            app_secret: app_secret.clone(),
            verify_token: String::new(),
        })),
        ..CreateChannelRequest::default()
    };
    let webhook_secret = format!("hook-{run}");
    let telegram = CreateChannelRequest {
        name: "Telegram".to_owned(),
        account: Some(Account::Telegram(TelegramAccount { api_base_url: sandbox.url().to_owned() })),
        secrets: Some(Secrets::TelegramSecrets(TelegramSecrets {
            bot_token: format!("{TELEGRAM}:demo-{run}"),
            webhook_secret: webhook_secret.clone(),
        })),
        ..CreateChannelRequest::default()
    };
    for (request, provider, account, secret) in [
        (whatsapp, Provider::Whatsapp, WHATSAPP, app_secret),
        (telegram, Provider::Telegram, TELEGRAM, webhook_secret),
    ] {
        let created = owner.channels().create_channel(request).await?.into_inner();
        let path = created.channel.map(|channel| channel.webhook_path).unwrap_or_default();
        let target_url = format!("{server}{path}");
        sandbox.subscribe(Subscription {
            channel: provider,
            account: account.to_owned(),
            target_url,
            secret,
        });
    }
    Ok(())
}
