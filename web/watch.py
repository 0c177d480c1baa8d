from web.hooks.folder import main  # python -m web.watch

if __name__ == "__main__":
    raise SystemExit(main())
