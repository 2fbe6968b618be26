"""The migrations, in order; generated from the models by `copydesk db revision`."""
